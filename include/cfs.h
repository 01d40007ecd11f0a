// Cloud Folder Sync for host applications in C and whatever speaks with C. docs/HOST.md has an example.
//
// Each call gives 0, or what the command would exit with: 1 failed, nothing half-done; 2 usage or configuration; 3 another
// synchronization is running; 4 a person has to say yes. Texts are UTF-8 and end with a zero byte; those that a call
// gives are freed with cfs_free. A site is worked with until it is closed, by one thread at a time; others wait. Written by cbindgen.

#ifndef CFS_H
#define CFS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

// A site that is open. One thread at a time works with it; others wait.
typedef struct CfsSite CfsSite;

// Told how far a synchronization is: what is being done, how much of it, of how much, and the caller's own pointer.
// The text lives until the function returns.
typedef void (*CfsProgress)(const char *what, uint64_t done, uint64_t total, void *user);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library. It lives as long as the program.
const char *cfs_version(void);

// Opens the site that a `cfs.toml` describes. Nothing is changed. Gives 0 and the site, or what `cfs` would exit with.
int cfs_open(const char *config,
             struct CfsSite **out);

// Sync Now. `full` looks at every file. `progress` may be null; it must not call cfs itself. Gives the report as JSON, the
// document of `cfs sync --json`, with code 4 too; a running service is asked, as `cfs sync` does.
int cfs_sync_now(const struct CfsSite *site,
                 int full,
                 CfsProgress progress,
                 void *user,
                 char **report);

// How things stand, as `cfs status --json` without the service.
int cfs_status_json(const struct CfsSite *site, char **out);

// The last synchronizations, the newest first, each with what it did, as `cfs log --json`.
int cfs_runs_json(const struct CfsSite *site, uint64_t last, char **out);

// Values that lost against a concurrent edit, as `cfs conflicts --json`.
int cfs_conflicts_json(const struct CfsSite *site, char **out);

// Decides a conflict: the current value stays (`value` 0), or a superseded one becomes current (counted from 1).
// `record`, `field` and `mark` as `cfs_conflicts_json` has them, `row` as `table:row` of it. If something was written there since, nothing is
// decided: look again. Gives 1 where the database refuses what was decided, for now: `cfs_last_error` says why.
int cfs_resolve(const struct CfsSite *site,
                const char *record,
                const char *row,
                const char *field,
                const char *mark,
                size_t value);

// Deletes a record, or with `row` (`table:key`) a row of it, at every site. It can be restored from the trash. `row` and `why` may be
// null.
int cfs_delete(const struct CfsSite *site,
               const char *record,
               const char *row,
               const char *why);

// Why the last call of this thread failed; empty if it did not. It lives until this thread's next call.
const char *cfs_last_error(void);

// Frees a text that a call gave. Null is nothing.
void cfs_free(char *text);

// Closes a site. Null is nothing, and so is a site that is closed already; a call with one gives 2. A call of another
// thread that is under way comes to its end.
void cfs_close(struct CfsSite *site);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CFS_H */
