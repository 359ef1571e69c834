"""The demo's addresses; two of them are those of OMERO.web."""
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import path
from django.views.generic import RedirectView

from . import views

admin.site.site_header = 'wproxy demo'

urlpatterns = [
    path('', views.front, name='front'),
    path('favicon.ico', RedirectView.as_view(url=settings.STATIC_URL + 'demo/icon.svg')),   # the admin's pages
    path('login/', auth.LoginView.as_view(template_name='demo/login.html'), name='login'),
    path('logout/', views.leave, name='leave'),
    path('notes/', views.notes, name='notes'),
    path('admin/', admin.site.urls),
    path('stream/', views.stream, name='stream'),
    path('upload/', views.upload, name='upload'),
    path('upload/<path:name>', views.upload),   # curl -T appends the file's name
    path('slow/', views.slow, name='slow'),
    path('events/', views.events, name='events'),
    path('events/feed/', views.feed, name='feed'),
    path('headers/', views.headers, name='headers'),
    path('status/<int:code>/', views.status, name='status'),
    path('webclient/render_thumbnail/<int:image>/', views.thumbnail, name='thumbnail'),
    path('webgateway/render_plane/<int:image>/', views.plane, name='plane'),
]
