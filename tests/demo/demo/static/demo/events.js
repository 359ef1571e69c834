// Lists each event with the time it took from the application to this page.
const list = document.getElementById('events');
const ended = document.getElementById('ended');
const source = new EventSource(list.dataset.from);
source.onmessage = event => {
    const told = JSON.parse(event.data);
    const delay = Math.max(0, Date.now() - told.sent * 1000);
    const item = document.createElement('li');
    const time = document.createElement('b');
    time.textContent = `${delay.toFixed(1)} ms`;
    item.append(`event ${told.number} of process ${told.process}`, time);
    list.append(item);
};
source.addEventListener('end', () => {
    source.close();
    ended.textContent = `${list.children.length} events, the stream has ended.`;
});
