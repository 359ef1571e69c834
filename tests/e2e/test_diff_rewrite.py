"""return, rewrite, if, set, break, map and the variables they use."""

import pytest

from contrast import Case, cases

HTTP = r"""
map $arg_m $mapped {
    default "default";
    "" "empty";
    one "first";
    TWO "second";
    ~^re(\d+)x "regex $1";
    ~*^ci(?<tail>.*)$ "ci $tail";
    ~esc\.aped "escaped";
    "~" "tilde only";
    "\~lit" "literal tilde";
    var "$request_method-$arg_x";
}
map $arg_h $hosted {
    hostnames;
    default "none";
    example.org "exact";
    *.example.org "wild";
    www.example.* "tail";
    .dot.org "dot";
    ~^re\. "regex";
    ~\.undotted$ "no dot at its end";
}
map $arg_e $bare { default "none"; ~^(a*)$ "only a: [$1]"; ~^ "whatever"; }
map "$http2" $old { "" "before 2"; default "2"; }
map $arg_v $unsteady { volatile; default "v $arg_v"; }
map "$arg_a:$arg_b" $joined { default no; "1:2" yes; ~^3: three; }
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
map $arg_i $included { include @prefix@/../map.inc; default "not included"; }
map $arg_n $nodefault { a b; }

server {
    listen @host@:@port@;
    server_name example.test;
    root @www@;
    set $top "server";
    if ($arg_deny = yes) { return 403; }
    if ($arg_srv) { set $top "server-if"; }
    rewrite ^/server-level/(.*)$ /echo/$1;

    location /echo { return 200 "uri=$uri args=$args ru=$request_uri top=$top"; }
    location /r/200 { return 200; }
    location /r/text { return 200 "text $uri"; }
    location /r/type { default_type application/json; return 200 '{"a":1}'; }
    location /r/201 { return 201 "made"; }
    location /r/204 { return 204; }
    location /r/204t { return 204 "text"; }
    location /r/301 { return 301 /moved; }
    location /r/302 { return 302 http://other.test/x?$args; }
    location /r/303 { return 303 https://$host$request_uri; }
    location /r/307 { return 307 /webclient/?show=project-27936; }
    location /r/308 { return 308 relative; }
    location /r/301n { return 301; }
    location /r/url { return http://bare.test/; }
    location /r/urls { return https://$host/x; }
    location /r/304 { return 304; }
    location /r/400 { return 400; }
    location /r/401 { return 401; }
    location /r/403 { return 403 "no\n"; }
    location /r/404 { return 404 ""; }
    location /r/405 { return 405; }
    location /r/410 { return 410; }
    location /r/413 { return 413; }
    location /r/418 { return 418; }
    location /r/444 { return 444; }
    location /r/451 { return 451; }
    location /r/499 { return 499; }
    location /r/500 { return 500; }
    location /r/503 { return 503; }
    location /r/599 { return 599 "odd"; }
    location /r/999 { return 999; }
    location /r/000 { return 000 "zero"; }
    location /r/var { set $u "/to here/%41?x=1"; return 302 $u; }

    location /w/last { rewrite ^/w/last/(.*)$ /echo/last/$1 last; return 200 "not here"; }
    location /w/break { rewrite ^/w/break/(.*)$ /$1 break; }
    location /w/none { rewrite ^/w/none/(.*)$ /echo/none/$1; rewrite none/x none/y; }
    location /w/redirect { rewrite ^/w/redirect/(.*)$ /gone/$1 redirect; }
    location /w/permanent { rewrite ^/w/permanent/(.*)$ /gone/$1 permanent; }
    location /w/abs { rewrite ^/w/abs/(.*)$ http://other.test/$1; }
    location /w/abss { rewrite ^ https://$host/secure last; }
    location /w/args { rewrite ^/w/args/(\w+) /echo?first=$1 last; }
    location /w/noargs { rewrite ^/w/noargs/(\w+) /echo?first=$1? last; }
    location /w/redirargs { rewrite ^/w/redirargs/(\w+) /echo?first=$1 redirect; }
    location /w/redirnoargs { rewrite ^/w/redirnoargs/(\w+) /echo?first=$1? redirect; }
    location /w/named { rewrite ^/w/named/(?<n>[a-z]+) /echo/$n last; }
    location /w/esc { rewrite ^/w/esc/(.*)$ /echo/$1 redirect; }
    location /w/quest { rewrite ^/w/quest(\?)?(.*)$ /echo/q$2 last; }
    location /w/ci { rewrite (?i)^/w/ci/ABC$ /echo/ci last; return 200 "case differs"; }
    location /w/loop { rewrite ^/w/loop/(.*)$ /w/loop/$1x last; }
    location /w/empty { rewrite "" /echo/always last; }
    location /w/two { rewrite a b; rewrite b c; return 200 "$uri"; }
    location /w/brace { rewrite "^/w/brace/([a-z]{3})$" /echo/three-$1 last; return 200 "no"; }
    location /w/cap { rewrite ^/w/cap/(a)(b)?(c)? /echo/[$1][$2][$3] last; }
    location /w/setbreak { set $v one; break; set $v two; return 200 "no"; }
    location /w/after { rewrite ^ /echo/after last; rewrite ^ /never last; }
    location /w/enc { rewrite ^/w/enc/(.*) /static%20name/$1 redirect; }
    location /w/var { rewrite ^/w/var/(.*) /echo/$host/$arg_q/$1 last; }

    location /i/eq { if ($arg_a = 1) { return 200 "one"; } return 200 "other"; }
    location /i/ne { if ($arg_a != 1) { return 200 "not one"; } return 200 "one"; }
    location /i/re { if ($arg_a ~ ^x(.*)y$) { return 200 "inner $1"; } return 200 "no"; }
    location /i/rei { if ($arg_a ~* ^x(.*)y$) { return 200 "inner $1"; } return 200 "no"; }
    location /i/nre { if ($arg_a !~ ^x) { return 200 "no x"; } return 200 "x"; }
    location /i/nrei { if ($arg_a !~* ^x) { return 200 "no x"; } return 200 "x"; }
    location /i/set { if ($arg_a) { return 200 "set"; } return 200 "unset"; }
    location /i/file { if (-f $document_root/$arg_f) { return 200 "file"; } return 200 "none"; }
    location /i/nofile { if (!-f $document_root/$arg_f) { return 200 "none"; } return 200 "file"; }
    location /i/dir { if (-d $document_root/$arg_f) { return 200 "dir"; } return 200 "none"; }
    location /i/ex { if (-e $document_root/$arg_f) { return 200 "exists"; } return 200 "none"; }
    location /i/nex { if (!-e $document_root/$arg_f) { return 200 "none"; } return 200 "exists"; }
    location /i/x { if (-x $document_root/$arg_f) { return 200 "exec"; } return 200 "none"; }
    location /i/method { if ($request_method = POST) { return 405; } return 200 "fine"; }
    location /i/spaces { if ( $arg_a = 1 ) { return 200 "one"; } return 200 "other"; }
    location /i/two {
        set $flag "";
        if ($arg_a = 1) { set $flag "${flag}A"; }
        if ($arg_b = 1) { set $flag "${flag}B"; }
        if ($flag = AB) { return 200 "both"; }
        return 200 "flag=[$flag]";
    }
    location /i/ctx {
        add_header X-Outer outer;
        add_header X-Both outer;
        if ($arg_a = 1) { add_header X-Inner inner; }
        if ($arg_b = 1) { set $unused 1; }
        return 200 "ctx";
    }
    location /i/root { root @www@; if ($arg_a = 1) { root @aliased@; } }
    location /i/rw { if ($arg_id ~ (\d+)) { rewrite ^ /echo/id-$1? last; } return 200 "none"; }
    location /i/brk { set $a 1; if ($arg_a = 1) { break; } set $a 2; return 200 "a=$a"; }
    location /i/cap { if ($uri ~ ^/i/cap/(?<word>[a-z]+)) { set $w $word; } return 200 "w=[$w]"; }
    location /i/ua { if ($http_user_agent ~ "MSIE [1-6]\.") { return 200 "old"; } return 200 "new"; }
    location /i/options {
        add_header 'Access-Control-Allow-Origin' '*' always;
        if ($request_method = 'OPTIONS' ) {
            add_header 'Access-Control-Allow-Origin' '*' always;
            add_header 'Access-Control-Max-Age' 1728000;
            add_header 'Content-Type' 'text/plain charset=UTF-8';
            add_header 'Content-Length' 0;
            return 204;
        }
        return 200 "page";
    }

    location /m { return 200 "[$mapped]"; }
    location /mh { return 200 "[$hosted]"; }
    location /me { return 200 "[$bare]"; }
    location /mo { return 200 "[$old][$http2]"; }
    location /mj { return 200 "[$joined]"; }
    location /mv { set $arg_copy $unsteady; return 200 "[$unsteady]"; }
    location /mi { return 200 "[$included]"; }
    location /mn { return 200 "[$nodefault]"; }
    location /mu { return 200 "[$connection_upgrade]"; }

    location /v/req { return 200 "$request_method|$scheme|$https|$server_protocol|$request|$is_args|$args|$query_string"; }
    location /v/host { return 200 "$host|$http_host|$server_name|$hostname"; }
    location /v/addr { return 200 "$remote_addr|$server_addr|$server_port|$binary_remote_addr"; }
    location /v/arg { return 200 "$arg_a|$arg_b|$arg_A|$arg_long_name"; }
    location /v/cookie { return 200 "$cookie_a|$cookie_b|$http_cookie"; }
    location /v/http { return 200 "$http_x_thing|$http_user_agent|$http_referer|$http_accept_language|$http_via|$http_x_forwarded_for"; }
    location /v/file { return 200 "$document_root|$realpath_root|$request_filename"; }
    location /v/alias { alias @www@/sub/; return 200 "$document_root|$request_filename"; }
    location /v/len { return 200 "$content_length|$content_type|$request_length"; }
    location /v/xff { return 200 "$proxy_add_x_forwarded_for"; }
    location /v/id { if ($request_id ~ "^[0-9a-f]{32}$") { return 200 "id fine"; } return 500; }
    location /v/msec { if ($msec ~ "^\d+\.\d\d\d$") { return 200 "msec fine"; } return 500; }
    location /v/time { if ($time_iso8601 ~ "^\d{4}-\d\d-\d\dT") { return 200 "iso"; } return 500; }
    location /v/local { if ($time_local ~ "^\d\d/[A-Z][a-z]{2}/\d{4}:") { return 200 "ok"; } return 500; }
    location /v/conn { if ($connection ~ "^\d+$") { return 200 "$connection_requests"; } return 500; }
    location /v/limit { limit_rate 100k; return 200 "$limit_rate"; }
    location /v/braces { return 200 "${request_method}x$scheme-$arg_a.$arg_b"; }
    location /v/quote { return 200 "a\"b\tc\nd'e"; }
    location /v/single { return 200 'a"b$scheme'; }
    location /v/nginx { if ($nginx_version) { return 200 "version"; } return 500; }
    location /v/pid { if ($pid ~ "^\d+$") { return 200 "pid"; } return 500; }
    location /v/user { return 200 "[$remote_user]"; }
    location /v/pipe { return 200 "[$pipe]"; }
    location /v/status { add_header X-S "$status|$sent_http_content_type|$sent_http_x_none" always; return 202 "s"; }
    location /v/body { return 200 "[$request_body][$request_body_file]"; }
    location /v/completion { return 200 "[$request_completion]"; }
    location /v/setargs { set $args "new=1"; return 200 "$args|$arg_new|$request_uri"; }
    location /v/seturi { set $uri2 "$uri-x"; return 200 "$uri2"; }
    location /v/given { if ($http_x_given = "") { set $http_x_given "none"; } if ($arg_given = "") { set $arg_given $scheme; } if ($arg_over) { set $cookie_given "over"; } return 200 "$http_x_given|$arg_given|$cookie_given|$http_x_given"; }
    location /v/proxyport { return 200 "$proxy_protocol_addr"; }
    location ~ ^/v/cap/(\w+)/(\w+)$ { return 200 "$1|$2|$3"; }
    location ~ ^/v/ncap/(?<one>\w+)-(?P<two>\w+)$ { return 200 "$one|$two|$1"; }
}
"""


@pytest.fixture(scope="module")
def pair(shared):
    import os
    folder = shared.folder()
    with open(os.path.join(folder, "map.inc"), "w") as out:
        out.write('x "from include";\ny "also $arg_i";\n')
    return shared.pair(HTTP.replace("@prefix@/..", folder))


@cases(*["GET /r/" + name for name in (
    "200", "text", "type", "201", "204", "204t", "301", "302?a=b", "303/x?y=z", "307", "308",
    "301n", "url", "urls", "304", "400", "401", "403", "404", "405", "410", "413", "418", "444",
    "451", "499", "500", "503", "599", "999", "000", "var")],
    "HEAD /r/text", "HEAD /r/301", "HEAD /r/404", "POST /r/text", "FOO /r/text", "DELETE /r/204",
    Case("GET /r/301", "Host: other.example"), Case("GET /r/301", "Host: Upper.Example:99"),
    Case("GET /r/301 HTTP/1.0", host=None), Case("GET /r/413", "Connection: keep-alive"),
    Case("POST /r/text", body="discarded body"), Case("GET /r/text", body="with body"),
    Case("GET /r/301", "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0)"),
    Case("GET /r/404 HTTP/1.0", "Connection: keep-alive"))
def test_return(pair, case):
    pair.compare(case)


@cases(*["GET /w/" + name for name in (
    "last/x", "last/a%20b", "last/x?q=1", "break/a.txt", "break/nope", "none/x", "none/z",
    "redirect/a%20b?c=d", "permanent/x", "abs/x?y=z", "abss", "args/abc?d=e", "args/abc",
    "noargs/abc?d=e", "redirargs/abc?d=e", "redirnoargs/abc?d=e", "named/word", "named/123",
    "esc/%25%3F%23%2b", "esc/%E2%82%AC", "esc/a%20b%22", "quest/x", "ci/abc", "ci/abd", "loop/x",
    "empty", "two/a", "brace/abc", "brace/abcd", "cap/a", "cap/ab", "cap/abc", "setbreak",
    "after", "enc/x", "var/x?q=w", "last/%0a", "redirect/%0d%0aX:y", "args/a%26b",
    "redirargs/a")],
    "GET /server-level/x", "GET /server-level/x?deny=no", "GET /x?deny=yes", "GET /echo?srv=1",
    "HEAD /w/last/x", "POST /w/redirect/x", Case("POST /w/last/x", body="a=b"))
def test_rewrite(pair, case):
    pair.compare(case)


@cases(*["GET /i/" + name for name in (
    "eq?a=1", "eq?a=2", "eq", "ne?a=1", "ne", "re?a=xay", "re?a=XaY", "re", "rei?a=XaY", "nre?a=x",
    "nre?a=y", "nrei?a=X", "nrei", "set?a=1", "set?a=0", "set?a=", "set", "set?a=00", "file?f=a.txt",
    "file?f=nope", "file?f=sub", "nofile?f=nope", "nofile?f=a.txt", "dir?f=sub", "dir?f=a.txt",
    "ex?f=sub", "ex?f=nope", "nex?f=nope", "x?f=sub", "x?f=a.txt", "method", "spaces?a=1",
    "two?a=1&b=1", "two?a=1", "two", "ctx", "ctx?a=1", "ctx?b=1", "ctx?a=1&b=1", "root/x",
    "rw?id=42", "rw?id=x", "brk?a=1", "brk", "cap/word", "cap/1", "ua", "options")],
    "POST /i/method", "OPTIONS /i/options", "HEAD /i/options", "POST /i/options",
    Case("GET /i/ua", "User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows)"))
def test_if(pair, case):
    pair.compare(case)


@cases(*["GET /m?m=" + name for name in (
    "", "one", "ONE", "two", "TWO", "re12x", "re12", "CIrest", "ciX", "esc.aped", "escXaped", "~",
    "~lit", "var&x=9", "other")],
    "GET /m", *["GET /mh?h=" + name for name in (
        "example.org", "EXAMPLE.org", "a.example.org", "a.b.example.org", "www.example.net", "dot.org",
        "x.dot.org", "re.x", "none", "xdot.org", "example.org.", "a.undotted", "a.undotted.", ".")],
    *["GET /me?e=" + text for text in ("", "a", "aa", "b")], "GET /me", "GET /mo",
    "GET /mj?a=1&b=2", "GET /mj?a=3", "GET /mj", "GET /mv?v=x", "GET /mi?i=x", "GET /mi?i=y",
    "GET /mi?i=z", "GET /mn?n=a", "GET /mn?n=z", "GET /mu",
    Case("GET /mu", "Upgrade: websocket"))
def test_map(pair, case):
    pair.compare(case)


@cases(*["GET /v/" + name for name in (
    "req", "req?x=1", "req?", "req?a=b&c=d", "host", "addr", "arg?a=1&b=2", "arg?A=1", "arg?b=%20",
    "arg?long_name=x&a", "arg?a=1&a=2", "arg?xa=1&a=2", "arg", "cookie", "http", "file/x/y", "file",
    "alias/page.html", "len", "xff", "id", "msec", "time", "local", "conn", "limit", "braces?a=1",
    "quote", "single", "nginx", "pid", "user", "pipe", "status", "body", "completion",
    "setargs?old=1", "seturi/%20", "proxyport", "cap/one/two", "ncap/ab-cd", "braces?a=1&b=2")],
    "GET /v/given", "GET /v/given?given=1", "GET /v/given?over=1&given=2",
    Case("GET /v/given", "X-Given: theirs"), Case("GET /v/given?over=1", "Cookie: given=x"),
    Case("GET /v/given?given=2", "X-Given: theirs", "Cookie: given=x"),
    Case("GET /v/cookie", "Cookie: a=1; b=two"), Case("GET /v/cookie", "Cookie: xa=0; a=1"),
    Case("GET /v/cookie", "Cookie: A=1", "Cookie: b=2"), Case("GET /v/cookie", "Cookie: a=\"q v\";b"),
    Case("GET /v/http", "X-Thing: a", "User-Agent: ua", "Referer: http://r/", "Accept-Language: de"),
    Case("GET /v/http", "X-Thing: a", "X-Thing: b"), Case("GET /v/http", "Via: 1.1 a", "Via: 1.1 b"),
    Case("GET /v/http", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2"),
    Case("GET /v/xff", "X-Forwarded-For: 1.1.1.1"),
    Case("GET /v/xff", "X-Forwarded-For: 1.1.1.1, 3.3.3.3", "X-Forwarded-For: 2.2.2.2"),
    Case("POST /v/len", "Content-Type: text/x", body="12345"), Case("HEAD /v/req"),
    Case("GET /v/req HTTP/1.0", host=None), Case("GET /v/host HTTP/1.0", host=None),
    Case("GET /v/host", "Host: EXAMPLE.test."), Case("GET /v/host", "Host: Other.Test:8080"),
    Case("GET http://abs.test/v/host?x", "Host: abs.test"),
    Case("GET http://abs.test:77/v/req?x", "Host: abs.test:77"),
    Case("GET /v/user", "Authorization: Basic dXNlcjpwYXNz"),
    Case("GET /v/user", "Authorization: Basic garbage"), Case("GET /v/user", "Authorization: Digest x"),
    Case("PUT /v/req"), Case("OPTIONS /v/req"), Case("GET /v/http", "X_Thing: under"),
    Case("GET /v/http", "x-ThInG:   spaces   "))
def test_variables(pair, case):
    pair.compare(case)
