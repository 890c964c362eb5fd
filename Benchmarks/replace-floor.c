// The floor of a revert in place: how long a program takes that has 1,800 files (177 MB) in memory and does nothing but
// write each under another name and put it in the place of an old one, with two threads; and the sync after it.
//
//     cc -O2 -pthread -o /tmp/replace-floor Benchmarks/replace-floor.c && /tmp/replace-floor FOLDER
//
// FOLDER must not exist; it lies on the file system that is to be measured, and is left there. Three ways, in turn: rename over
// the old file; RENAME_EXCHANGE, then unlink; unlink, then rename.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { files = 1800, folders = 60, threads = 2, piece = 256 << 10 };
enum way { over, exchange, unlink_first, ways };
static const char *const names[ways] = {"rename over it", "exchange, unlink", "unlink, rename"};
static char content[piece];
static int sizes[files];
static enum way way;

static void must(int ok, const char *what) {
  if (!ok) { perror(what); exit(1); }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void put(const char *path, int size) {
  int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  must(file >= 0, path);
  for (int left = size; left > 0; left -= piece) {
    int count = left < piece ? left : piece;
    must(write(file, content, count) == count, path);
  }
  close(file);
}

static void *replace(void *first) {
  char old[64], new[64];
  for (long i = (long)first; i < files; i += threads) {
    snprintf(old, sizeof old, "d%ld/f%ld", i % folders, i);
    snprintf(new, sizeof new, "d%ld/.new%ld", i % folders, i);
    put(new, sizes[i]);
    if (way == exchange) {
      must(renameat2(AT_FDCWD, new, AT_FDCWD, old, RENAME_EXCHANGE) == 0, old);
      must(unlink(new) == 0, new);
    } else {
      if (way == unlink_first) must(unlink(old) == 0, old);
      must(rename(new, old) == 0, old);
    }
  }
  return 0;
}

int main(int count, char **arguments) {
  if (count != 2) { fprintf(stderr, "usage: replace-floor FOLDER (which must not exist)\n"); return 2; }
  must(mkdir(arguments[1], 0755) == 0 && chdir(arguments[1]) == 0, arguments[1]);
  memset(content, 7, piece);
  srand(5);
  long total = 0;
  for (int i = 0; i < files; i++) {  // Most files small, some large, as in a package update.
    double size = 12000 / ((rand() + 1.0) / (RAND_MAX + 2.0));
    total += sizes[i] = size > 9e6 ? 9e6 : size;
  }
  char path[64];
  for (int i = 0; i < folders; i++) {
    snprintf(path, sizeof path, "d%d", i);
    must(mkdir(path, 0755) == 0, path);
  }
  for (int i = 0; i < files; i++) {
    snprintf(path, sizeof path, "d%d/f%d", i % folders, i);
    put(path, sizes[i]);
  }
  int root = open(".", O_RDONLY);
  must(root >= 0, ".");
  for (int round = 0; round < 3; round++) {
    for (way = over; way < ways; way++) {
      must(syncfs(root) == 0, "sync");
      double start = now();
      pthread_t all[threads];
      for (long i = 0; i < threads; i++) must(pthread_create(&all[i], 0, replace, (void *)i) == 0, "thread");
      for (int i = 0; i < threads; i++) pthread_join(all[i], 0);
      double replaced = now();
      must(syncfs(root) == 0, "sync");
      printf("%-18s %.0f MB: %.2f s, sync %.2f s\n", names[way], total / 1e6, replaced - start, now() - replaced);
    }
  }
  return 0;
}
