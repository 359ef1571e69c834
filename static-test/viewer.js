// A viewer of the picture pyramid tiles/Z/X/Y.png: drag to move, wheel or the
// buttons to change the level. Only the tiles in sight are asked for.
const SIZE = 256, DEEPEST = 3;
const view = document.getElementById('view');
const said = document.getElementById('said');
const shown = new Map();
let level = 2, left = 0, top_ = 0, fetched = 0;

function centre() {
    left = Math.round((view.clientWidth - (SIZE << level)) / 2);
    top_ = Math.round((view.clientHeight - (SIZE << level)) / 2);
}

function draw() {
    const side = 1 << level;
    const wanted = new Set();
    for (let x = Math.max(0, Math.floor(-left / SIZE)); x < side && left + x * SIZE < view.clientWidth; x++) {
        for (let y = Math.max(0, Math.floor(-top_ / SIZE)); y < side && top_ + y * SIZE < view.clientHeight; y++) {
            const name = `tiles/${level}/${x}/${y}.png`;
            wanted.add(name);
            let tile = shown.get(name);
            if (!tile) {
                tile = new Image();
                tile.alt = '';
                tile.src = name;
                tile.onload = () => { fetched++; tell(); };
                shown.set(name, tile);
                view.append(tile);
            }
            tile.style.transform = `translate(${left + x * SIZE}px, ${top_ + y * SIZE}px)`;
        }
    }
    for (const [name, tile] of shown) {
        if (!wanted.has(name)) {
            tile.remove();
            shown.delete(name);
        }
    }
    tell();
}

function tell() {
    said.textContent = `level ${level} of ${DEEPEST}, ${shown.size} tiles in sight, ${fetched} loaded; drag to move, wheel to zoom`;
}

function change(by, x, y) {
    const next = Math.min(DEEPEST, Math.max(0, level + by));
    const scale = 2 ** (next - level);
    left = Math.round(x - (x - left) * scale);
    top_ = Math.round(y - (y - top_) * scale);
    level = next;
    draw();
}

view.addEventListener('pointerdown', event => view.setPointerCapture(event.pointerId));
view.addEventListener('pointermove', event => {
    if (event.buttons) {
        left += event.movementX;
        top_ += event.movementY;
        draw();
    }
});
view.addEventListener('wheel', event => change(event.deltaY < 0 ? 1 : -1, event.clientX, event.clientY), { passive: true });
document.getElementById('in').onclick = () => change(1, view.clientWidth / 2, view.clientHeight / 2);
document.getElementById('out').onclick = () => change(-1, view.clientWidth / 2, view.clientHeight / 2);
window.addEventListener('resize', draw);
centre();
draw();
