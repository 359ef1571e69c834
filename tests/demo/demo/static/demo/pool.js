// Asks the pool many times at once and draws who answered: a bar for each process.
const pool = document.getElementById('pool');
const bars = pool.querySelector('.bars');
const ask = document.getElementById('ask');
const asked = document.getElementById('asked');
const answers = new Map();

function draw() {
    const most = Math.max(...answers.values());
    bars.replaceChildren(...[...answers].sort((a, b) => a[0].localeCompare(b[0])).map(([name, count]) => {
        const row = document.createElement('div');
        const bar = document.createElement('i');
        const label = document.createElement('span');
        const sum = document.createElement('b');
        label.textContent = name;
        sum.textContent = count;
        bar.style.width = `${100 * count / most}%`;
        const track = document.createElement('em');
        track.append(bar);
        row.append(label, track, sum);
        return row;
    }));
}

async function once() {
    const answer = await fetch(pool.dataset.ask, { cache: 'no-store' });
    const text = await answer.text();
    const process = /process \d+/.exec(text);
    const name = answer.ok && process ? process[0] : `status ${answer.status}`;
    answers.set(name, (answers.get(name) || 0) + 1);
    draw();
}

async function many(count) {
    const begun = performance.now();
    ask.disabled = true;
    await Promise.allSettled(Array.from({ length: count }, once));
    ask.disabled = false;
    asked.textContent = `${count} answers in ${((performance.now() - begun) / 1000).toFixed(2)} s from ${answers.size} processes.`;
}

ask.onclick = () => many(32);
many(16);
