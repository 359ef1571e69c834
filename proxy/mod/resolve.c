/*
 * Names of back ends at run time.  A group with names is asked for again every
 * RESOLVE_PERIOD while requests come, and soon after a refused connect, by the
 * thread whose request found it due; its peers are replaced when the answer is
 * another set.  upstream.c asks for names that variables make by itself.
 *
 *	due -> asking (one thread, one name after the other) -> peer_set_fill -> due later
 */
#include "mod/resolve.h"

#include <stdlib.h>

#include "base/clock.h"
#include "http/core.h"
#include "http/registry.h"
#include "http/site.h"
#include "mod/group.h"

#define RESOLVE_PERIOD	10000	/* ms */
#define RESOLVE_SOON	1000
#define SYSTEM_VALID	1000	/* ms: what Docker's DNS says lives for 600 s is not believed */

/* --- resolvers --- */

struct resolver_made {
	struct task exit;
	struct resolver *resolver;
};

struct resolver_wanted {
	struct loop *home;
	struct resolver_options options;
};

static void
resolver_exit(struct task *task)
{
	struct resolver_made *made = list_item(task, struct resolver_made, exit);

	if (made->resolver != NULL)
		resolver_free(made->resolver);
	made->resolver = NULL;
}

static void *
resolver_make(void *arg)
{
	const struct resolver_wanted *wanted = arg;
	struct resolver_made *made = xcalloc(1, sizeof(*made));

	made->resolver = resolver_new(wanted->home, &wanted->options);
	made->exit.run = resolver_exit;
	loop_at_exit(wanted->home, &made->exit);
	return (made);
}

/* Equal settings are one resolver, across threads and reloads. */
static struct str
resolver_key(const struct request *r, const struct core_location *core)
{
	struct str key = pool_printf(r->pool, "%llu %llu %d", (unsigned long long)core->resolver_valid,
	    (unsigned long long)core->resolver_timeout, core->resolver_ipv6_off);

	VEC_EACH(&core->resolver_servers, struct addr, addr) {
		char text[ADDR_TEXT_MAX];
		struct str parts[3] = { key, STR(" "),
			str_make(text, addr_text(addr, true, text)) };

		key = pool_concat(r->pool, 3, parts);
	}
	return (key);
}

struct resolver *
resolve_by(const struct request *r)
{
	const struct core_location *core = r->location->core;
	struct resolver_wanted wanted = {
		.home = r->thread->loop,
		.options = {
			.servers = core->resolver_servers.items,
			.server_count = (unsigned)core->resolver_servers.count,
			.valid_ms = core->resolver_set ? core->resolver_valid : SYSTEM_VALID,
			.timeout_ms = core->resolver_timeout,
			.ipv4 = true,
			.ipv6 = !core->resolver_ipv6_off,
		},
	};
	struct resolver_made *made;

	made = registry_get(STR("resolver"), resolver_key(r, core), resolver_make, &wanted);
	return (made->resolver);
}

/* --- groups --- */

/* A round of questions under way; on the thread that began it. */
struct group_refresh {
	struct resolver_query query;
	struct resolver *resolver;
	struct pool *pool;
	struct http_conf *http;		/* pinned */
	unsigned loop_index;
	const struct group *group;
	struct vec specs;		/* struct peer_spec, so far */
	size_t next;			/* of the group's names */
	bool failed;
};

static void	refresh_step(struct group_refresh *);

/* Does the group have these peers already, whatever their order? */
static bool
specs_are_known(const struct group *group, const struct vec *specs)
{
	return (peer_set_equals(&group->set, specs->items, (unsigned)specs->count));
}

static void
refresh_end(struct group_refresh *f)
{
	/* The set has its own lock; the configuration around it is frozen. */
	struct peer_set *set = (struct peer_set *)(uintptr_t)&f->group->set;

	if (!f->failed && f->specs.count > 0 && !specs_are_known(f->group, &f->specs)) {
		peer_set_fill(set, f->specs.items, (unsigned)f->specs.count);
		log_main(LOG_NOTICE, 0, "upstream \"" STR_FMT "\" has %zu addresses now",
		    STR_ARG(f->group->name), f->specs.count);
	}
	atomic_store(&f->group->names->due, clock_mono_ms() + RESOLVE_PERIOD);
	atomic_store(&f->group->names->asking, false);
	http_conf_unpin(f->http, f->loop_index);
	pool_free(f->pool);
}

static void
refresh_answered(struct resolver_query *query)
{
	struct group_refresh *f = query->arg;
	const struct group_name *name = vec_at(&f->group->names->servers, struct group_name, f->next);

	if (query->error != NULL) {
		log_main(LOG_WARN, 0, "\"" STR_FMT "\" of upstream \"" STR_FMT "\" could not be "
		    "resolved (%s): its last addresses stay", STR_ARG(name->host),
		    STR_ARG(f->group->name), query->error);
		f->failed = true;
	}
	for (unsigned i = 0; query->error == NULL && i < query->count; i++) {
		struct peer_spec *spec = vec_push(&f->specs, f->pool);
		char text[ADDR_TEXT_MAX];

		*spec = name->spec;
		spec->addr = query->addrs[i];
		spec->text = pool_strdup(f->pool, str_make(text, addr_text(&spec->addr, true, text)));
	}
	f->next++;
	refresh_step(f);
}

static void
refresh_step(struct group_refresh *f)
{
	const struct vec *names = &f->group->names->servers;

	for (; f->next < names->count && !f->failed; f->next++) {
		const struct group_name *name = vec_at(names, struct group_name, f->next);

		if (name->host.p == NULL) {
			*(struct peer_spec *)vec_push(&f->specs, f->pool) = name->spec;
			continue;
		}
		f->query.name = name->host;
		f->query.port = name->port;
		resolver_ask(f->resolver, &f->query);
		return;
	}
	refresh_end(f);
}

void
resolve_group(const struct request *r, const struct group *group, bool refused)
{
	struct group_names *names = group->names;
	uint64_t now = clock_mono_ms(), due;
	struct group_refresh *f;
	struct resolver *resolver;
	struct pool *pool;

	if (names == NULL)
		return;
	due = atomic_load_explicit(&names->due, memory_order_relaxed);
	if (refused && due > RESOLVE_PERIOD - RESOLVE_SOON)
		due -= RESOLVE_PERIOD - RESOLVE_SOON;
	if (now < due || atomic_exchange(&names->asking, true))
		return;
	resolver = resolve_by(r);
	if (resolver == NULL) {
		atomic_store(&names->due, now + RESOLVE_PERIOD);
		atomic_store(&names->asking, false);
		return;
	}
	pool = pool_new(0);
	f = pool_new_object(pool, struct group_refresh);
	f->pool = pool;
	f->resolver = resolver;
	f->http = r->http;
	f->loop_index = loop_index(r->thread->loop);
	f->group = group;
	f->specs = VEC_OF(struct peer_spec);
	f->query.loop = r->thread->loop;
	f->query.answered = refresh_answered;
	f->query.arg = f;
	http_conf_pin(f->http, f->loop_index);
	refresh_step(f);
}
