/*
 * The registry: a list under one mutex.  Asked only while a configuration is
 * read, so its length does not matter.
 */
#include "http/registry.h"

#include <pthread.h>

#include "base/pool.h"

struct registry_entry {
	struct registry_entry *next;
	struct str kind, name;
	void *object;
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct registry_entry *registry_first;

static struct str
str_keep(struct str s)
{
	char *copy = xmalloc(s.n + 1);

	if (s.n > 0)
		memcpy(copy, s.p, s.n);
	return (str_make(copy, s.n));
}

void *
registry_get(struct str kind, struct str name, void *(*make)(void *), void *arg)
{
	struct registry_entry *entry;

	pthread_mutex_lock(&registry_lock);
	for (entry = registry_first; entry != NULL; entry = entry->next)
		if (str_eq(entry->kind, kind) && str_eq(entry->name, name))
			break;
	if (entry == NULL) {
		entry = xcalloc(1, sizeof(*entry));
		entry->kind = str_keep(kind);
		entry->name = str_keep(name);
		entry->object = make(arg);
		entry->next = registry_first;
		registry_first = entry;
	}
	pthread_mutex_unlock(&registry_lock);
	return (entry->object);
}
