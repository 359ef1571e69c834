// Sends the form with a bar that shows how far it is; without scripts the form works as well.
const form = document.getElementById('send');
const bar = document.getElementById('sent');
const said = document.getElementById('said');

form.addEventListener('submit', event => {
    event.preventDefault();
    const request = new XMLHttpRequest();
    const begun = performance.now();
    bar.hidden = false;
    request.upload.onprogress = progress => { bar.value = progress.loaded / progress.total; };
    request.onerror = () => { said.textContent = 'The connection was lost.'; };
    request.onload = () => {
        if (request.status !== 200) {
            said.textContent = `The answer is ${request.status} ${request.statusText}`;
            return;
        }
        const found = JSON.parse(request.responseText);
        const seconds = (performance.now() - begun) / 1000;
        bar.value = 1;
        said.innerHTML = '<dt>Name</dt><dd></dd><dt>Size</dt><dd></dd><dt>SHA-256</dt><dd><code></code></dd>';
        const [name, size, sum] = said.querySelectorAll('dd');
        name.textContent = found.name;
        size.textContent = `${found.size.toLocaleString('en')} bytes in ${seconds.toFixed(2)} s`;
        sum.firstChild.textContent = found.sha256;
    };
    request.open('POST', form.action);
    request.setRequestHeader('Accept', 'application/json');
    request.send(new FormData(form));
});
