"""manage.py prepare: all that the demo needs before it is served, as often as
one likes: tables, static files, and the user admin with the password admin."""
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = 'Makes the database, collects static files, adds the user admin/admin.'

    def handle(self, *args, **options):
        call_command('migrate', verbosity=0, interactive=False)
        call_command('collectstatic', verbosity=0, interactive=False)
        users = get_user_model().objects
        if not users.filter(username='admin').exists():
            users.create_superuser('admin', 'admin@example.org', 'admin')
