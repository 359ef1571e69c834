/*
 * Conditional requests (RFC 9110 13): 304 and 412 from the validators of a 200,
 * in nginx's order.  The first filter; touches heads only.
 */
#include "base/clock.h"
#include "http/core.h"
#include "http/filter.h"
#include "http/response.h"
#include "mod/modules.h"

/* Is etag in a list of entity tags, or the list "*"?  weak: W/ makes no difference. */
static bool
etag_in_list(struct str list, struct str etag, bool weak)
{
	struct str item;

	list = str_trim(list);
	if (str_eq(list, STR("*")))
		return (true);
	if (etag.n == 0)
		return (false);
	if (weak && str_starts(etag, STR("W/")))
		etag = str_skip(etag, 2);
	while (str_cut(&list, ',', &item)) {
		item = str_trim(item);
		if (weak && str_starts(item, STR("W/")))
			item = str_skip(item, 2);
		if (str_eq(item, etag))
			return (true);
	}
	return (false);
}

/* RFC 9110 13.1.1, 13.1.4. */
static bool
precondition_failed(const struct request *r)
{
	struct str since = fields_value(&r->in.fields, FIELD_IF_UNMODIFIED_SINCE);
	struct str match = fields_value(&r->in.fields, FIELD_IF_MATCH);
	time_t date;

	if (since.p != NULL) {
		if (r->out.last_modified == -1)
			return (true);
		date = clock_parse_http(since);
		if (date == (time_t)-1 || r->out.last_modified > date)
			return (true);
	}
	return (match.p != NULL && !etag_in_list(match, r->out.etag, false));
}

/* RFC 9110 13.1.2, 13.1.3. */
static bool
is_not_modified(const struct request *r)
{
	unsigned mode = r->location->core->if_modified_since;
	struct str since = fields_value(&r->in.fields, FIELD_IF_MODIFIED_SINCE);
	struct str none_match = fields_value(&r->in.fields, FIELD_IF_NONE_MATCH);
	time_t date;

	if (since.p == NULL && none_match.p == NULL)
		return (false);
	if (since.p != NULL) {
		if (r->out.last_modified == -1 || mode == 0)
			return (false);
		date = clock_parse_http(since);
		if (date != r->out.last_modified &&
		    (mode == 1 || date == (time_t)-1 || date < r->out.last_modified))
			return (false);
	}
	return (none_match.p == NULL || etag_in_list(none_match, r->out.etag, true));
}

static enum filter_verdict
conditional_start(struct request *r, void **state)
{
	const uint64_t conditions = FIELD_BIT(FIELD_IF_MODIFIED_SINCE) |
	    FIELD_BIT(FIELD_IF_NONE_MATCH) | FIELD_BIT(FIELD_IF_MATCH) |
	    FIELD_BIT(FIELD_IF_UNMODIFIED_SINCE);

	(void)state;
	if ((r->in.fields.known & conditions) == 0 || r->out.status != 200 ||
	    r->out.from_upstream)
		return (FILTER_SKIP);
	if (precondition_failed(r)) {
		resp_replace(r, 412);
		return (FILTER_STOP);
	}
	if (is_not_modified(r)) {
		r->out.status = 304;
		r->out.content_type = STR_NULL;
		r->out.length = -1;
		r->out.ranges_allowed = false;
		fields_remove(&r->out.fields, FIELD_CONTENT_ENCODING);
	}
	return (FILTER_SKIP);
}

const struct filter conditional_filter = { .name = "conditional", .start = conditional_start };
