/*
 * Who has a port: the kernel's tables of sockets give the inode of the one that
 * listens there, and some process has a descriptor of that inode.  Called by
 * sockets.c when a bind failed.
 *
 *	address -> /proc/net/tcp, tcp6, unix: inode -> /proc/PID/fd/N -> "socket:[inode]"
 */
#include "main/occupant.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#define COLUMNS		16
#define LINE_ROOM	512
#define LISTENING	STR("0A")	/* TCP_LISTEN */

/* A table of /proc/net: which columns tell what. */
struct socket_table {
	const char *path;
	int family;
	unsigned state, inode;	/* columns */
	bool (*matches)(const struct str *columns, const struct addr *);
};

/* "0100007F:1F90": the port; and the address, as it lies in memory, where both are IPv4's. */
static bool
port_matches(const struct str *columns, const struct addr *addr)
{
	struct str host, rest = columns[1];
	uint64_t port, word;
	in_addr_t own;

	if (!str_cut(&rest, ':', &host) || !str_to_hex(rest, 65535, &port) ||
	    port != addr_port(addr))
		return (false);
	/* An IPv6 socket may have the port of both. */
	if (addr->u.sa.sa_family != AF_INET || host.n != 8 || !str_to_hex(host, UINT32_MAX, &word))
		return (true);
	own = addr->u.in.sin_addr.s_addr;
	return (word == own || word == htonl(INADDR_ANY) || own == htonl(INADDR_ANY));
}

static bool
path_matches(const struct str *columns, const struct addr *addr)
{
	return (str_eq(columns[7], str_from(addr->u.un.sun_path)));
}

static const struct socket_table tables[] = {
	{ "/proc/net/tcp", AF_INET, 3, 9, port_matches },
	{ "/proc/net/tcp6", AF_INET, 3, 9, port_matches },
	{ "/proc/net/tcp6", AF_INET6, 3, 9, port_matches },
	{ "/proc/net/tcp", AF_INET6, 3, 9, port_matches },
	{ "/proc/net/unix", AF_UNIX, 5, 6, path_matches },
};

/* The words of a line; what is missing is absent. */
static void
columns_split(struct str line, struct str columns[static COLUMNS])
{
	struct str rest = line, word;
	unsigned n = 0;

	memset(columns, 0, COLUMNS * sizeof(*columns));
	while (n < COLUMNS && str_cut(&rest, ' ', &word))
		if (word.n > 0)
			columns[n++] = word;
}

/* The inode of the socket that listens there; absent: none. */
static struct str
inode_find(struct pool *pool, const struct socket_table *table, const struct addr *addr)
{
	struct str columns[COLUMNS], found = STR_NULL;
	char line[LINE_ROOM];
	FILE *file = fopen(table->path, "re");

	if (file == NULL)
		return (found);
	while (found.p == NULL && fgets(line, sizeof(line), file) != NULL) {
		struct str text = str_make(line, strcspn(line, "\n"));

		columns_split(text, columns);
		if (table->family != AF_UNIX && !str_eq(columns[table->state], LISTENING))
			continue;
		if (table->matches(columns, addr))
			found = pool_strdup(pool, columns[table->inode]);
	}
	(void)fclose(file);
	return (found);
}

static bool
process_has(struct pool *pool, struct str pid, struct str link)
{
	struct str folder = pool_printf(pool, "/proc/" STR_FMT "/fd", STR_ARG(pid));
	struct dirent *entry;
	DIR *dir = opendir(folder.p);
	bool has = false;
	char target[64];

	if (dir == NULL)
		return (false);
	while (!has && (entry = readdir(dir)) != NULL) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));

		has = n > 0 && str_eq(str_make(target, (size_t)n), link);
	}
	(void)closedir(dir);
	return (has);
}

/* The name of a process's program as the kernel knows it. */
static struct str
process_name(struct pool *pool, uint64_t pid)
{
	FILE *file = fopen(pool_printf(pool, "/proc/%llu/comm", (unsigned long long)pid).p, "re");
	char line[64] = "";

	if (file == NULL)
		return (STR_NULL);
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	(void)fclose(file);
	return (pool_strdup(pool, str_make(line, strcspn(line, "\n"))));
}

/* The first process, a parent before its children, that has the socket; 0: none is seen. */
static uint64_t
process_find(struct pool *pool, struct str inode)
{
	struct str link = pool_printf(pool, "socket:[" STR_FMT "]", STR_ARG(inode));
	uint64_t first = 0, pid;
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	if (dir == NULL)
		return (0);
	while ((entry = readdir(dir)) != NULL) {
		struct str name = str_from(entry->d_name);

		if (str_to_uint(name, INT32_MAX, &pid) && (first == 0 || pid < first) &&
		    process_has(pool, name, link))
			first = pid;
	}
	(void)closedir(dir);
	return (first);
}

struct str
occupant_find(struct pool *pool, const struct addr *addr)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct str inode;
		uint64_t pid;

		if (tables[i].family != addr->u.sa.sa_family)
			continue;
		inode = inode_find(pool, &tables[i], addr);
		pid = inode.p == NULL ? 0 : process_find(pool, inode);
		if (pid != 0)
			return (pool_printf(pool, "process %llu \"" STR_FMT "\"",
			    (unsigned long long)pid, STR_ARG(process_name(pool, pid))));
	}
	return (STR_NULL);
}
