/*
 * auth_basic: user and password of the request against a password file, which is
 * looked at for each request through the file cache.  A hash that is slow by
 * design is computed by the helper thread; the request is held meanwhile.
 *
 *	credentials -> line of the file -> fast hash -> verdict
 *	                                \-> job (own arena) -> access_decided()
 */
#include <errno.h>
#include <unistd.h>

#include "http/credentials.h"
#include "http/digest.h"
#include "http/file.h"
#include "http/parse.h"
#include "http/site.h"
#include "http/tpl.h"
#include "mod/access.h"
#include "mod/modules.h"
#include "net/offload.h"

struct password_file {
	struct tpl *path;
	struct str folder;		/* relative paths that hold variables begin here */
};

struct auth_location {
	struct tpl *realm;
	struct password_file *file;
};

/* A password on its way through the helper thread; it may outlive the request. */
struct password_job {
	struct offload_job job;
	struct pool *pool;		/* holds this and the strings */
	struct request *r;
	struct str user, password, hash;
	bool matches;			/* written by the helper thread, read after it is done */
};

/* --- the file --- */

static struct str
file_path(struct request *r, const struct password_file *file)
{
	struct str path = tpl_eval(r, file->path);

	if (!str_starts(path, STR("/")))
		return (pool_printf(r->pool, STR_FMT "/" STR_FMT, STR_ARG(file->folder),
		    STR_ARG(path)));
	return (pool_strdup(r->pool, path));
}

/* All of the file; false with errno. */
static bool
file_read(struct request *r, struct file *file, struct str *bytes)
{
	char *copy;
	size_t n = 0;

	if (file->is_directory) {
		errno = EISDIR;
		return (false);
	}
	if (file->content != NULL) {
		*bytes = pool_strdup(r->pool, str_make(file->content, file->size));
		return (true);
	}
	copy = pool_alloc(r->pool, file->size + 1);
	while (n < file->size) {
		ssize_t got = pread(file->fd, copy + n, file->size - n, (off_t)n);

		if (got < 0 && errno != EINTR)
			return (false);
		if (got == 0)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	*bytes = str_make(copy, n);
	return (true);
}

/* The hash of "user:hash[:comment]"; absent when there is no such line. */
static struct str
line_find(struct str bytes, struct str user)
{
	struct str line;

	while (str_cut(&bytes, '\n', &line)) {
		size_t end;

		if (str_starts(line, STR("#")) || !str_starts(line, user) || line.n == user.n ||
		    line.p[user.n] != ':')
			continue;
		line = str_skip(line, user.n + 1);
		for (end = 0; end < line.n && line.p[end] != ':' && line.p[end] != '\r'; end++)
			;
		return (str_make(line.p, end));
	}
	return (STR_NULL);
}

/* The user's hash.  0, or the verdict. */
static unsigned
hash_find(struct request *r, const struct auth_location *conf, struct str user, struct str *hash)
{
	struct str path = file_path(r, conf->file), bytes;
	struct file *file = file_get(r->thread, path, true);
	bool readable = file != NULL && file_read(r, file, &bytes);
	int error = errno;

	if (file != NULL)
		owner_drop(&file->owner);
	if (!readable) {
		request_log(r, error == ENOENT ? LOG_ERR : LOG_CRIT, error,
		    "open() \"" STR_FMT "\" failed", STR_ARG(path));
		return (error == ENOENT ? 403 : 500);
	}
	*hash = line_find(bytes, user);
	if (hash->p != NULL)
		return (0);
	request_log(r, LOG_ERR, 0, "user \"" STR_FMT "\" was not found in \"" STR_FMT "\"",
	    STR_ARG(user), STR_ARG(path));
	return (401);
}

/* --- the password --- */

static unsigned
password_verdict(struct request *r, struct str user, bool matches)
{
	if (matches) {
		r->authenticate.count = 0;
		return (ACCESS_ALLOWED);
	}
	request_log(r, LOG_ERR, 0, "user \"" STR_FMT "\": password mismatch", STR_ARG(user));
	return (401);
}

static void
job_work(struct offload_job *job)
{
	struct password_job *p = list_item(job, struct password_job, job);

	p->matches = password_matches(p->password, p->hash);
}

static void
job_free(struct offload_job *job)
{
	pool_free(list_item(job, struct password_job, job)->pool);
}

static void
job_done(struct offload_job *job)
{
	struct password_job *p = list_item(job, struct password_job, job);
	struct request *r = p->r;
	unsigned verdict = password_verdict(r, p->user, p->matches);

	job_free(job);
	r->holder.cancel = NULL;
	access_decided(r, verdict);
}

static void
job_cancel(struct request *r, void *arg)
{
	struct password_job *p = arg;

	(void)r;
	offload_cancel(&p->job, job_free);
}

static unsigned
password_offload(struct request *r, struct str user, struct str password, struct str hash)
{
	struct pool *pool = pool_new(0);
	struct password_job *p = pool_new_object(pool, struct password_job);

	p->pool = pool;
	p->r = r;
	p->user = pool_strdup(pool, user);
	p->password = pool_strdup(pool, password);
	p->hash = pool_strdup(pool, hash);
	p->job.loop = r->thread->loop;
	p->job.work = job_work;
	p->job.done = job_done;
	request_wait(r, job_cancel, p);
	offload_submit(&p->job);
	return (ACCESS_WAIT);
}

unsigned
auth_basic_check(struct request *r)
{
	const struct auth_location *conf = location_conf(r->location, auth_basic_module);
	const struct field *field = fields_get(&r->in.fields, FIELD_AUTHORIZATION);
	struct str realm, user, password, hash;
	unsigned verdict;

	if (conf->realm == NULL || conf->file == NULL)
		return (ACCESS_NONE);
	realm = tpl_eval(r, conf->realm);
	if (str_eq(realm, STR("off")))
		return (ACCESS_NONE);
	if (!is_field_value(realm))
		return (500);
	fields_add_id(&r->authenticate, r->pool, FIELD_WWW_AUTHENTICATE,
	    pool_printf(r->pool, "Basic realm=\"" STR_FMT "\"", STR_ARG(realm)));
	if (field == NULL || !credentials_basic(r->pool, field->value, &user, &password)) {
		request_log(r, LOG_INFO, 0, "no user/password was provided for basic "
		    "authentication");
		return (401);
	}
	r->remote_user = user;
	verdict = hash_find(r, conf, user, &hash);
	if (verdict != 0)
		return (verdict);
	if (password_is_slow(hash))
		return (password_offload(r, user, password, hash));
	return (password_verdict(r, user, password_matches(password, hash)));
}

/* --- directives --- */

static int
file_set(struct conf *cf, const struct conf_row *row, void *field)
{
	struct password_file *file = pool_new_object(cf->pool, struct password_file);
	struct str path = cf->words[1].text;

	(void)row;
	if (!str_starts(path, STR("$")))
		path = conf_path_in_folder(cf, path);
	file->folder = cf->folder;
	file->path = tpl_compile(cf, path);
	*(struct password_file **)field = file;
	return (file->path == NULL ? -1 : 0);
}

static const struct conf_row auth_rows[] = {
	{ .name = "auth_basic", .contexts = CTX_HSL | CTX_LIMIT_EXCEPT, .min = 1, .max = 1,
	    .scope = SCOPE_LOCATION, .type = &conf_tpl,
	    .offset = offsetof(struct auth_location, realm) },
	{ .name = "auth_basic_user_file", .contexts = CTX_HSL | CTX_LIMIT_EXCEPT, .min = 1,
	    .max = 1, .scope = SCOPE_LOCATION, .type = &conf_custom_ptr,
	    .offset = offsetof(struct auth_location, file), .set = file_set },
	{ .name = NULL }
};

struct module auth_basic_module = {
	.name = "auth_basic",
	.size = { [SCOPE_LOCATION] = sizeof(struct auth_location) },
	.rows = auth_rows,
};
