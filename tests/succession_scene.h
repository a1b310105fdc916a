/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * succession_scene.h - what a test of a succession has: an owner, two who come after
 * him, and clients; and the steps that more than one test goes through
 */
#ifndef TESTS_SUCCESSION_SCENE_H
#define TESTS_SUCCESSION_SCENE_H

#include <netinet/tcp.h>

#include "succession.h"

struct scene {
	char name[WEIR_NAME_BYTES];
	struct child owner;
	struct child next;		/* who fails, where one does */
	struct child last;
	struct load load;
};

/* One who comes after the owner. */
struct heir {
	unsigned int workers;
	enum place place;
};

/* Why there can be none, or NULL. */
static const char *scene_init(struct scene *s)
{
	const char *why = why_not();

	if (why)
		return why;
	signal(SIGPIPE, SIG_IGN);
	snprintf(s->name, sizeof(s->name), "test-%d-%d", runner, getpid());
	return NULL;
}

static int scene_make(struct scene *s, bool plain, unsigned int workers, struct heir next,
		      struct heir last)
{
	int err;

	err = child_make(&s->owner, s->name, plain, workers, NOWHERE, false);
	if (!err)
		err = child_make(&s->next, s->name, plain, next.workers, next.place, true);
	if (!err)
		err = child_make(&s->last, s->name, plain, last.workers, last.place, true);
	return err;
}

static void scene_close(struct scene *s)
{
	struct child *children[3] = { &s->owner, &s->next, &s->last };
	int i;

	load_end(&s->load);
	for (i = 0; i < 3; i++) {
		if (!children[i]->pid)
			continue;
		kill(children[i]->pid, SIGKILL);
		waitpid(children[i]->pid, NULL, 0);
	}
}

static bool there(const char *format, const char *name)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), format, name);
	return !stat(path, &st);
}

static bool dies(enum place place)
{
	return place == START_DIES || place == SEAL_DIES || place == SEALED_DIES;
}

/* How many sockets of IPv4 there are in that state: TCP_CLOSE is one of UDP. */
static unsigned int sockets_at(unsigned int wanted, uint16_t port)
{
	unsigned int at, state, count = 0;
	char line[300];
	FILE *file = fopen(wanted == TCP_CLOSE ? "/proc/net/udp" : "/proc/net/tcp", "re");

	while (file && fgets(line, sizeof(line), file))
		count += sscanf(line, " %*u: %*8x:%4x %*8x:%*4x %2x", &at, &state) == 2 &&
			 at == port && state == wanted;
	if (file)
		fclose(file);
	return count;
}

/* Who leaves, dies or takes back does with his what is to be done when he comes to it. */
static bool sockets_are(unsigned int wanted, uint16_t port, unsigned int count)
{
	return AWAITED(sockets_at(wanted, port) == count);
}

static void clients_come(struct __test_metadata *_metadata, struct scene *s, uint16_t port)
{
	ASSERT_NE(0, port);
	ASSERT_EQ(0, load_start(&s->load, port));
	ASSERT_TRUE(load_goes_on(&s->load));
}

/* And none of them was lost. */
static void clients_go(struct __test_metadata *_metadata, struct scene *s)
{
	load_end(&s->load);
	EXPECT_EQ(0, atomic_load(&s->load.failed)) {
		TH_LOG("the first failed to %s: %s", s->load.step, strerror(s->load.error));
	}
}

static void next_fails(struct __test_metadata *_metadata, struct scene *s, enum place place)
{
	int status;

	ASSERT_EQ(0, child_start(&s->next));
	status = child_status(&s->next);
	if (dies(place)) {
		ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	} else {
		ASSERT_TRUE(WIFEXITED(status));
		ASSERT_EQ(place < START_FAILS ? 0 : place == FEWER ? 6 : 4, WEXITSTATUS(status));
	}
}

/* Without clients those before the last have nothing more to do. */
static void all_end(struct __test_metadata *_metadata, struct scene *s)
{
	if (s->owner.pid)
		EXPECT_EQ(0, child_status(&s->owner));
	if (s->next.pid)
		EXPECT_EQ(0, child_status(&s->next));
	kill(s->last.pid, SIGTERM);
	EXPECT_EQ(0, child_status(&s->last));
	EXPECT_FALSE(there("/sys/fs/bpf/weir/%s", s->name));
}

#endif /* TESTS_SUCCESSION_SCENE_H */
