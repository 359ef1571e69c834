"""The demo's views: each shows, or lets a test measure, one thing that a proxy
in front of an application has to get right."""
import hashlib
import json
import os
import time
from pathlib import Path

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST, require_safe

THUMBNAIL = Path(__file__).with_name('thumbnail.jpg').read_bytes()
PLANE_SIDE = 512
BLOCK = 64 * 1024
KEPT_NOTES = 8


class BadNumber(ValueError):
    """A number in the query string that is none, or out of range."""


def number(request, name, default, most, kind=int):
    """A number of the query string, within 0..most."""
    text = request.GET.get(name)
    try:
        value = default if text is None else kind(text)
    except ValueError:
        raise BadNumber(f'{name}: not a number') from None
    if not 0 <= value <= most:
        raise BadNumber(f'{name}: not within 0 and {most}')
    return value


def says_bad_numbers(view):
    """Answers 400 where the query string holds a bad number."""
    def wrapped(request, *args, **kwargs):
        try:
            return view(request, *args, **kwargs)
        except BadNumber as error:
            return HttpResponseBadRequest(f'{error}\n', content_type='text/plain')
    wrapped.__name__ = view.__name__
    return wrapped


def page_context(request):
    """For every template: which process answered, where the application is
    mounted, and where the site that was asked serves files, if it does."""
    return {'process': os.getpid(), 'prefix': settings.PREFIX,
            'files': request.META.get('HTTP_X_DEMO_FILES')}


@require_safe
def front(request):
    answer = render(request, 'demo/front.html', {
        'peer': request.META.get('REMOTE_ADDR') or 'a unix socket',
        'forwarded': request.META.get('HTTP_X_FORWARDED_FOR', 'nobody'),
        'scheme': request.scheme,
        'images': range(1, 13),
    })
    answer['X-Process'] = str(os.getpid())
    return answer


@require_POST
def leave(request):
    logout(request)
    return redirect('front')


def notes(request):
    """POST, redirect, GET: notes kept in the session."""
    if request.method == 'POST':
        text = request.POST.get('text', '').strip()[:200]
        if text:
            kept = request.session.get('notes', [])
            request.session['notes'] = (kept + [text])[-KEPT_NOTES:]
        return redirect('notes')
    return render(request, 'demo/notes.html', {'notes': request.session.get('notes', [])})


def blocks(size, delay):
    """size bytes of numbered lines of 16, the same for each request."""
    sent = 0
    while sent < size:
        first = sent // 16
        block = b''.join(b'%015d\n' % i for i in range(first, first + BLOCK // 16))
        yield block[:size - sent]
        sent += len(block)
        if delay:
            time.sleep(delay)


@require_safe
@says_bad_numbers
def stream(request):
    """A download made while it is sent: ?size=bytes, ?delay=seconds between
    blocks of 64 KiB, ?length=1 to announce its length."""
    size = number(request, 'size', 1 << 20, 1 << 40)
    delay = number(request, 'delay', 0, 10, float)
    answer = StreamingHttpResponse(blocks(size, delay), content_type='application/octet-stream')
    answer['Content-Disposition'] = 'attachment; filename="stream.bin"'
    if number(request, 'length', 0, 1):
        answer['Content-Length'] = str(size)
    return answer


def digest(source):
    """Size and SHA-256 of what is read, block by block."""
    size, seen = 0, hashlib.sha256()
    while True:
        block = source.read(BLOCK)
        if not block:
            return {'size': size, 'sha256': seen.hexdigest()}
        size += len(block)
        seen.update(block)


# Scripts send files here without having asked for a form first.
@csrf_exempt
def upload(request, name=None):
    """Reports size and SHA-256 of a form's file, or of a raw body."""
    if request.method not in ('POST', 'PUT'):
        return render(request, 'demo/upload.html')
    if request.content_type != 'multipart/form-data':
        return JsonResponse(digest(request))
    if 'file' not in request.FILES:
        return HttpResponseBadRequest('no file in the form\n', content_type='text/plain')
    found = digest(request.FILES['file'])
    found['name'] = request.FILES['file'].name
    if 'text/html' in request.META.get('HTTP_ACCEPT', ''):
        return render(request, 'demo/upload.html', {'found': found})
    return JsonResponse(found)


@says_bad_numbers
def slow(request):
    """Answers after ?seconds=; holds its process meanwhile."""
    seconds = number(request, 'seconds', 2, 600, float)
    time.sleep(seconds)
    return HttpResponse(f'process {os.getpid()} took {seconds:g} s\n', content_type='text/plain')


@require_safe
def events(request):
    return render(request, 'demo/events.html')


def event_lines(count, interval):
    for i in range(count):
        told = json.dumps({'number': i + 1, 'of': count, 'sent': time.time(),
                           'process': os.getpid()})
        yield f'id: {i + 1}\ndata: {told}\n\n'.encode()
        if i + 1 < count:
            time.sleep(interval)
    yield b'event: end\ndata: {}\n\n'


@require_safe
@says_bad_numbers
def feed(request):
    """Server-sent events: ?count= of them, ?interval= seconds apart."""
    count = number(request, 'count', 10, 100000)
    interval = number(request, 'interval', 0.5, 600, float)
    answer = StreamingHttpResponse(event_lines(count, interval),
                                   content_type='text/event-stream')
    answer['Cache-Control'] = 'no-cache'
    return answer


@csrf_exempt
def headers(request):
    """What the application was told about the request, as JSON."""
    return JsonResponse({
        'method': request.method,
        'scheme': request.scheme,
        'host': request.get_host(),
        'path': request.path,
        'path_info': request.path_info,
        'script_name': request.META.get('SCRIPT_NAME', ''),
        'query': request.META.get('QUERY_STRING', ''),
        'protocol': request.META.get('SERVER_PROTOCOL', ''),
        'remote_addr': request.META.get('REMOTE_ADDR', ''),
        'absolute': request.build_absolute_uri(),
        'process': os.getpid(),
        'headers': dict(request.headers),
    }, json_dumps_params={'indent': 2})


@csrf_exempt
def status(request, code):
    """An answer of the application's own with this status."""
    if not 200 <= code <= 599:
        return HttpResponseBadRequest('code: not within 200 and 599\n', content_type='text/plain')
    return HttpResponse(f'the application says {code}\n', status=code, content_type='text/plain')


@require_safe
def thumbnail(request, image):
    """4,405 bytes: the thumbnail of OMERO's published benchmark."""
    return HttpResponse(THUMBNAIL, content_type='image/jpeg')


def plane_pixels(image):
    """512 x 512 grey values: rings that move with the image's number."""
    side = PLANE_SIDE
    cx, cy = (image * 37) % side, (image * 91) % side
    across = [(x - cx) * (x - cx) for x in range(side)]
    rings = bytes((d >> 7) & 0xff for d in range(2 * side * side))
    rows = bytearray()
    for y in range(side):
        down = (y - cy) * (y - cy)
        rows += bytes(rings[down + a] for a in across)
    return bytes(rows)


@require_safe
def plane(request, image):
    """An uncompressed plane of 262,144 bytes."""
    if image not in PLANES:
        if len(PLANES) >= 16:
            PLANES.clear()
        PLANES[image] = plane_pixels(image)
    answer = HttpResponse(PLANES[image], content_type='application/octet-stream')
    answer['X-Plane'] = f'{PLANE_SIDE}x{PLANE_SIDE}x8'
    return answer


# Few planes are kept: making one takes longer than a proxy's whole work on it.
PLANES = {}
