// Draws the raw 8-bit plane that the application sends.
const canvas = document.getElementById('plane');
fetch(canvas.dataset.from).then(answer => answer.arrayBuffer()).then(buffer => {
    const grey = new Uint8Array(buffer);
    const context = canvas.getContext('2d');
    const image = context.createImageData(canvas.width, canvas.height);
    for (let i = 0; i < grey.length; i++) {
        image.data[4 * i] = grey[i] >> 1;
        image.data[4 * i + 1] = grey[i];
        image.data[4 * i + 2] = 128 + (grey[i] >> 1);
        image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
});
