// Lists each event with the time it took from the application to this page.
const list = document.getElementById('events');
const source = new EventSource(list.dataset.from);
source.onmessage = event => {
    const told = JSON.parse(event.data);
    const delay = Math.max(0, Date.now() - told.sent * 1000);
    const item = document.createElement('li');
    item.textContent = `process ${told.process}: ${told.number} of ${told.of}, ${delay.toFixed(0)} ms`;
    list.append(item);
};
source.addEventListener('end', () => source.close());
