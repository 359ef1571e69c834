/* mod/unbuilt.c: what is taken silently, what is warned of once, what is refused. */
#define _GNU_SOURCE
#include "../unit.h"
#include "../conf/fixture.h"

#include <stdio.h>

#include "mod/unbuilt.h"

static struct conf_values *main_values;

static struct conf_values *
frame_values(struct conf_frame *frame, unsigned module, unsigned scope)
{
	(void)frame;
	(void)module;
	return (scope == SCOPE_MAIN ? main_values : NULL);
}

static int
text_read(struct fixture *fx, unsigned context, const char *text, bool with_values)
{
	const struct conf_table table = { unbuilt_module.rows, 0 };
	const struct conf_vocabulary vocabulary = { &table, 1, NULL };
	const struct memory_file files[] = { { "/f", text }, { NULL, NULL } };
	struct conf_frame frame = { .context = context, .values = frame_values };

	fixture_init(fx, files, &vocabulary);
	main_values = with_values ? conf_values_new(fx->cf.pool, unbuilt_module.rows,
	    unbuilt_module.size[SCOPE_MAIN]) : NULL;
	return (conf_read(&fx->cf, STR("/f"), &frame));
}

#define REFUSED(name, changes)	"[emerg] wproxy does not implement the \"" name	\
	"\" directive, and to ignore it would change " changes " in /f:1\n"
#define IN	" in /f:1\n"

static const struct {
	unsigned context;
	const char *text, *said;
} texts[] = {
	/* inert */
	{ CTX_EVENTS, "epoll_events 512;", "" },
	{ CTX_MAIN, "ssl_engine x; quic_bpf on;", "" },
	{ CTX_HTTP, "tcp_nopush on; types_hash_max_size 2048; "
	    "server_names_hash_bucket_size 64;", "" },
	{ CTX_HTTP, "open_file_cache max=1000 inactive=20s; open_file_cache_valid 30s;", "" },
	{ CTX_SERVER, "output_buffers 1 32k; postpone_output 1460; directio 4m; aio threads;", "" },
	{ CTX_LOCATION, "tcp_nopush off; gzip_buffers 16 8k; read_ahead 512k;", "" },
	{ CTX_HTTP, "tcp_nopush maybe;", "[emerg] invalid value \"maybe\" in \"tcp_nopush\" "
	    "directive, it must be \"on\" or \"off\"" IN },
	{ CTX_HTTP, "types_hash_max_size x;",
	    "[emerg] \"types_hash_max_size\" directive invalid number in /f:1 (\"x\" is no whole number "
	    "below 2^63)\n" },
	{ CTX_HTTP, "output_buffers 1;",
	    "[emerg] invalid number of arguments in \"output_buffers\" directive" IN },
	{ CTX_MAIN, "tcp_nopush on;", "[emerg] \"tcp_nopush\" directive is not allowed here" IN },

	/* ignored */
	{ CTX_SERVER, "fastcgi_param A b; fastcgi_param C d if_not_empty; fastcgi_index i;",
	    "[warn] \"fastcgi_param\" is ignored: wproxy does not speak FastCGI" IN },
	{ CTX_HTTP, "proxy_cache_path /a keys_zone=z:1m; proxy_cache z; scgi_param a b;",
	    "[warn] \"proxy_cache_path\" is ignored: wproxy does not cache answers of back ends" IN
	    "[warn] \"scgi_param\" is ignored: wproxy does not speak SCGI" IN },
	{ CTX_LOCATION, "proxy_cache off; grpc_ssl_verify off;", "" },
	{ CTX_SERVER, "http3 on;", "[warn] \"http3\" is ignored: wproxy does not speak HTTP/3" IN },

	/* refused */
	{ CTX_LOCATION, "fastcgi_pass a:9000;", REFUSED("fastcgi_pass", "what is answered") },
	{ CTX_LOCATION, "scgi_pass a;", REFUSED("scgi_pass", "what is answered") },
	{ CTX_LOCATION, "grpc_pass a;", REFUSED("grpc_pass", "what is answered") },
	{ CTX_LOCATION, "memcached_pass a;", REFUSED("memcached_pass", "what is answered") },
	{ CTX_LOCATION, "auth_jwt /x;", REFUSED("auth_jwt", "who may see what") },
	{ CTX_LOCATION, "auth_jwt off; auth_jwt_type signed;", "" },
	{ CTX_LOCATION, "auth_jwt off { }", REFUSED("auth_jwt", "who may see what") },
	{ CTX_SERVER, "secure_link $a;", REFUSED("secure_link", "who may see what") },
	{ CTX_HTTP, "geoip_country /x;", REFUSED("geoip_country", "the value of variables") },
	{ CTX_LOCATION, "perl a::b;", REFUSED("perl", "what is answered") },
	{ CTX_LOCATION, "js_content a;", REFUSED("js_content", "what is answered") },
	{ CTX_LOCATION, "content_by_lua_block { ngx.say('a') }",
	    REFUSED("content_by_lua_block", "what is answered") },
	{ CTX_STREAM_SERVER, "ssl_preread on;", REFUSED("ssl_preread", "which back end answers") },
	{ CTX_STREAM, "preread_timeout 1s;", REFUSED("preread_timeout", "which back end answers") },
	{ CTX_STREAM_SERVER, "ssl_preread off; proxy_ssl off; proxy_upload_rate 0; "
	    "proxy_responses 1;", "" },
	{ CTX_STREAM_SERVER, "proxy_ssl on;", REFUSED("proxy_ssl", "what back ends are sent") },
	{ CTX_MAIN, "mail { }", REFUSED("mail", "which ports are served") },
	{ CTX_LOCATION, "ssi on;", REFUSED("ssi", "what is answered") },
	{ CTX_LOCATION, "ssi off; ssi_types *; gunzip off; mirror off; proxy_store off;", "" },
	{ CTX_LOCATION, "auth_oidc;",
	    "[emerg] invalid number of arguments in \"auth_oidc\" directive" IN },

	/* load_module */
	{ CTX_MAIN, "load_module modules/ngx_http_gzip_static_module.so;", "" },
	{ CTX_MAIN, "load_module /usr/lib/nginx/modules/ngx_http_realip_module.so;", "" },
	{ CTX_MAIN, "load_module ngx_http_brotli_filter_module.so;",
	    "[warn] module \"http_brotli_filter\" is ignored: wproxy does without it" IN },
	{ CTX_MAIN, "load_module modules/ngx_http_echo_module.so;",
	    "[warn] module \"http_echo\" is not part of wproxy: its directives will be refused" IN },
	{ CTX_LOCATION, "echo a;", REFUSED("echo", "what is answered") },
	{ CTX_MAIN, "load_module modules/ngx_stream_module.so;", "" },
	{ CTX_MAIN, "load_module modules/ngx_no_such_module.so;", "[emerg] wproxy does not "
	    "implement the module \"no_such\" of \"modules/ngx_no_such_module.so\"" IN },
	{ CTX_HTTP, "load_module a;", "[emerg] \"load_module\" directive is not allowed here" IN },
};

START_TEST(directive_is_judged)
{
	struct fixture fx;
	int rc = text_read(&fx, texts[_i].context, texts[_i].text, true);

	ck_assert_str_eq(fixture_said(&fx), texts[_i].said);
	ck_assert_int_eq(rc, strncmp(texts[_i].said, "[emerg]", 7) == 0 ? -1 : 0);
	fixture_fini(&fx);
}
END_TEST

/* Where no http {} is around, each one warns. */
START_TEST(warnings_without_values)
{
	struct fixture fx;

	ck_assert_int_eq(text_read(&fx, CTX_SERVER, "http3 on; http3 on; http3 off;", false), 0);
	ck_assert_uint_eq(fx.cf.warnings, 2);
	fixture_fini(&fx);
}
END_TEST

START_TEST(rows_are_sound)
{
	for (const struct conf_row *row = unbuilt_module.rows; row->name != NULL; row++) {
		ck_assert_msg(row->contexts != 0 && row->min <= row->max, "%s", row->name);
		ck_assert_msg(row->set != NULL || row->type != NULL, "%s", row->name);
		for (const struct conf_row *other = row + 1; other->name != NULL; other++)
			ck_assert_msg(strcmp(row->name, other->name) != 0, "%s twice", row->name);
	}
}
END_TEST

static void
add_tests(TCase *tc)
{
	tcase_add_loop_test(tc, directive_is_judged, 0, (int)ROWS(texts));
	tcase_add_test(tc, warnings_without_values);
	tcase_add_test(tc, rows_are_sound);
}

int
main(void)
{
	return (unit_main("mod/unbuilt", add_tests));
}
