/*
 * Runs a fuzz target over its corpus without libFuzzer, so that `make check'
 * replays every input that ever mattered, with any compiler.
 *
 * Linked (as a library member, for its main) with each tests/fuzz/X_fuzz.c.
 * Replays the files and folders named as arguments; with none, the folder
 * $srcdir/tests/fuzz/corpus/X, where X_fuzz is this program's own name.
 * An empty corpus is a failure: a target that tests nothing must not pass.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <err.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/*
 * Reads the whole file into a block of exactly its size, so that ASan sees
 * a read past its end. The caller frees it.
 */
static uint8_t *
input_read(const char *path, size_t *size)
{
	struct stat st;
	uint8_t *bytes;
	FILE *f;

	if ((f = fopen(path, "rb")) == NULL || fstat(fileno(f), &st) != 0)
		err(1, "%s", path);
	*size = (size_t)st.st_size;
	if ((bytes = malloc(*size != 0 ? *size : 1)) == NULL)
		err(1, "malloc");
	if (fread(bytes, 1, *size, f) != *size)
		err(1, "%s: short read", path);
	fclose(f);
	return (bytes);
}

/* Replays one file; returns the number of inputs run. */
static unsigned int
replay_file(const char *path)
{
	uint8_t *bytes;
	size_t size;

	bytes = input_read(path, &size);
	/* Seen only when the target dies: names the input that did it. */
	printf("%s (%zu bytes)\n", path, size);
	fflush(stdout);
	(void)LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	return (1);
}

/* Replays a file, or each file of a folder; returns the number of inputs. */
static unsigned int
replay_path(const char *path)
{
	char name[PATH_MAX];
	struct dirent *entry;
	struct stat st;
	unsigned int count = 0;
	DIR *dir;
	int n;

	if (stat(path, &st) != 0)
		err(1, "%s", path);
	if (!S_ISDIR(st.st_mode))
		return (replay_file(path));
	if ((dir = opendir(path)) == NULL)
		err(1, "%s", path);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		n = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (n < 0 || (size_t)n >= sizeof(name))
			errx(1, "%s: name too long", path);
		if (stat(name, &st) == 0 && S_ISREG(st.st_mode))
			count += replay_file(name);
	}
	closedir(dir);
	return (count);
}

int
main(int argc, char **argv)
{
	const char *srcdir, *base, *end;
	char path[PATH_MAX];
	unsigned int count = 0;
	int i, n;

	for (i = 1; i < argc; i++)
		count += replay_path(argv[i]);
	if (argc < 2) {
		if ((srcdir = getenv("srcdir")) == NULL)
			srcdir = ".";
		base = strrchr(argv[0], '/') != NULL ? strrchr(argv[0], '/') + 1 : argv[0];
		if ((end = strstr(base, "_fuzz")) == NULL)
			errx(1, "%s: not the name of a fuzz target", base);
		n = snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%.*s", srcdir,
		    (int)(end - base), base);
		if (n < 0 || (size_t)n >= sizeof(path))
			errx(1, "%s: name too long", srcdir);
		count = replay_path(path);
	}
	printf("%u inputs replayed\n", count);
	return (count != 0 ? 0 : 1);
}
