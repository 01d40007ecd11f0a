/* A host application in C: opens a site, synchronizes with a progress bar, reads, decides, deletes. */
#include "cfs.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int steps;

static void bar(const char *what, uint64_t done, uint64_t total, void *user) {
  if (what[0] && done <= total && user == &steps) steps++;
}

static char *field(const char *json, const char *name, char *out) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\":\"", name);
  const char *at = strstr(json, key);
  if (!at) return NULL;
  at += strlen(key);
  size_t n = strcspn(at, "\"");
  memcpy(out, at, n);
  out[n] = 0;
  return out;
}

#define TRY(call) do { int c = (call); if (c) { fprintf(stderr, "%s: %d %s\n", #call, c, cfs_last_error()); return 1; } } while (0)
#define MUST(what) do { if (!(what)) { fprintf(stderr, "not so: %s\n", #what); return 1; } } while (0)

int main(int argc, char **argv) {
  struct CfsSite *site = NULL;
  char *json = NULL, record[64], row[64], of[128], name[64], mark[80];
  MUST(argc == 3);
  MUST(cfs_open("/no/such/cfs.toml", &site) == 2 && !site && strstr(cfs_last_error(), "/no/such/cfs.toml"));
  MUST(cfs_open(NULL, &site) == 2 && cfs_open("x", NULL) == 2 && cfs_open("\xff", &site) == 2);
  MUST(cfs_status_json(NULL, &json) == 2 && strstr(cfs_last_error(), "not open"));
  cfs_close(NULL);
  cfs_free(NULL);
  TRY(cfs_open(argv[1], &site));
  MUST(!*cfs_last_error());
  TRY(cfs_sync_now(site, 1, bar, &steps, &json));
  MUST(steps > 0 && strstr(json, "\"full\":true"));
  cfs_free(json);
  TRY(cfs_sync_now(site, 0, NULL, NULL, &json));
  cfs_free(json);
  MUST(cfs_sync_now(site, 0, NULL, NULL, NULL) == 2);
  TRY(cfs_status_json(site, &json));
  MUST(strstr(json, "\"conflicts\":1"));
  cfs_free(json);
  TRY(cfs_runs_json(site, 3, &json));
  MUST(strstr(json, "\"runs\":[{"));
  cfs_free(json);
  TRY(cfs_conflicts_json(site, &json));
  MUST(field(json, "record", record) && field(json, "row", row) && field(json, "field", name) && field(json, "mark", mark));
  cfs_free(json);
  snprintf(of, sizeof of, "patient:%s", row);
  MUST(cfs_resolve(site, record, of, name, "00", 1) == 2 && strstr(cfs_last_error(), "since you looked"));
  TRY(cfs_resolve(site, record, of, name, mark, 1));
  MUST(cfs_delete(site, "patient:999999", NULL, NULL) == 2);
  TRY(cfs_delete(site, argv[2], NULL, "entered twice"));
  cfs_close(site);
  MUST(cfs_status_json(site, &json) == 2 && strstr(cfs_last_error(), "not open"));
  MUST(cfs_sync_now(site, 0, NULL, NULL, &json) == 2 && !json);
  MUST(cfs_status_json((struct CfsSite *)&steps, &json) == 2);
  cfs_close(site);
  printf("cfs %s: all well\n", cfs_version());
  return 0;
}
