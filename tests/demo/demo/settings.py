"""Settings of the demo application, for Django 3.2 and later.

Environment:
  DEMO_RUNTIME       folder for the database and, below static/, the collected
                     static files (needed)
  FORCE_SCRIPT_NAME  prefix under which the proxy mounts the application
"""
import os
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNTIME = Path(os.environ['DEMO_RUNTIME']).resolve()

# A demo that anybody may enter as admin/admin has nothing to keep secret.
SECRET_KEY = 'the demo of wproxy keeps no secrets: it is only ever served on loopback'
DEBUG = False
ALLOWED_HOSTS = ['*']

# The proxy overwrites this header, so that no client can fake it.
SECURE_PROXY_SSL_HEADER = ('HTTP_X_FORWARDED_PROTO', 'https')
FORCE_SCRIPT_NAME = os.environ.get('FORCE_SCRIPT_NAME', '').rstrip('/') or None
PREFIX = FORCE_SCRIPT_NAME or ''

INSTALLED_APPS = [
    'demo',
    'django.contrib.admin',
    'django.contrib.auth',
    'django.contrib.contenttypes',
    'django.contrib.sessions',
    'django.contrib.messages',
    'django.contrib.staticfiles',
]
MIDDLEWARE = [
    'django.middleware.security.SecurityMiddleware',
    'django.contrib.sessions.middleware.SessionMiddleware',
    'django.middleware.common.CommonMiddleware',
    'django.middleware.csrf.CsrfViewMiddleware',
    'django.contrib.auth.middleware.AuthenticationMiddleware',
    'django.contrib.messages.middleware.MessageMiddleware',
    'django.middleware.clickjacking.XFrameOptionsMiddleware',
]
ROOT_URLCONF = 'demo.urls'
WSGI_APPLICATION = 'demo.wsgi.application'
TEMPLATES = [{
    'BACKEND': 'django.template.backends.django.DjangoTemplates',
    'APP_DIRS': True,
    'OPTIONS': {'context_processors': [
        'django.template.context_processors.request',
        'django.contrib.auth.context_processors.auth',
        'django.contrib.messages.context_processors.messages',
        'demo.views.page_context',
    ]},
}]

# Several processes write: wait for each other rather than fail.
DATABASES = {'default': {
    'ENGINE': 'django.db.backends.sqlite3',
    'NAME': str(RUNTIME / 'demo.sqlite3'),
    'OPTIONS': {'timeout': 20},
}}
DEFAULT_AUTO_FIELD = 'django.db.models.BigAutoField'

LOGIN_URL = 'login'
LOGIN_REDIRECT_URL = 'front'
LOGOUT_REDIRECT_URL = 'front'
# Sites on other ports of the same host must not log each other out.
SESSION_COOKIE_NAME = 'demo_session' + PREFIX.replace('/', '_')
CSRF_COOKIE_NAME = 'demo_csrf' + PREFIX.replace('/', '_')

STATIC_URL = PREFIX + '/static/'
STATIC_ROOT = str(RUNTIME / 'static')

LANGUAGE_CODE = 'en-us'
TIME_ZONE = 'UTC'
USE_TZ = True
