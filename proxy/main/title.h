#ifndef WPROXY_MAIN_TITLE_H
#define WPROXY_MAIN_TITLE_H

/*
 * What ps shows.  title_init() moves the environment out of the way and returns
 * a copy of argv for everybody else; once, first thing in main().
 */
char	**title_init(int argc, char **argv);
/* "wproxy: TEXT". */
void	  title_set(const char *text);
/* Last thing in main(): the environment is gone afterwards. */
void	  title_fini(void);

#endif
