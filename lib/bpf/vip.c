// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/*
 * vip.c - on which networks an instance answers: read and changed through its
 * pins, by whoever may write them
 *
 * A lock on weir's root directory keeps two changes apart, also of different
 * instances: what one has the other is refused.
 */
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bpf/vip.h"

static void vip_split(const struct weir_bpf_vip *vip, struct weir_vip_key *key,
		      struct weir_vip_range *range)
{
	*key = (struct weir_vip_key){
		.bits = VIP_FAMILY_BITS + vip->bits, .family = vip->family,
	};
	memcpy(key->ip, vip->ip, sizeof(key->ip));
	*range = (struct weir_vip_range){
		.proto = vip->proto, .first = vip->first, .last = vip->last,
	};
}

static void vip_join(struct weir_bpf_vip *vip, const struct weir_vip_key *key,
		     const struct weir_vip_range *range)
{
	*vip = (struct weir_bpf_vip){
		.family = key->family, .bits = key->bits - VIP_FAMILY_BITS, .proto = range->proto,
		.first = range->first, .last = range->last,
	};
	memcpy(vip->ip, key->ip, sizeof(vip->ip));
}

/* whether somebody else answers there */

struct claim {
	const char *name;		/* of the instance that asks */
	int root_fd;
	int dir_fd;
	uint32_t prog_id;		/* of its own program */
	uint64_t netns_cookie;
	struct weir_vip_key key;
	struct weir_vip_range range;
	const struct reason *reason;
};

static int instance_claims(void *ctx, const struct weir_bpf_instance *instance)
{
	const struct weir_vip_range *range = NULL;
	const struct claim *claim = ctx;
	char text[WEIR_BPF_VIP_TEXT];
	struct weir_bpf_vip vip;
	struct vip_set set;
	uint32_t i;
	int fd, err;

	if (!instance->alive || instance->meta.netns_cookie != claim->netns_cookie ||
	    !strcmp(instance->name, claim->name))
		return 0;
	fd = pins_at(claim->root_fd, instance->name);
	if (fd < 0)
		return 0;	/* it has gone meanwhile */
	err = vip_set_open(&set, fd, false);
	close(fd);
	if (err == -EOPNOTSUPP)
		return 0;
	if (err)
		return reason_set(claim->reason, err, "cannot read the networks of instance %s: %s",
				  instance->name, strerror(-err));
	for (i = 0; i < set.count && !range; i++)
		range = vip_entry_meets(&set.entry[i], &claim->key, &claim->range);
	if (range) {
		vip_join(&vip, &set.entry[i - 1].key, range);
		weir_bpf_vip_format(&vip, text);
		err = reason_set(claim->reason, -EADDRINUSE, "instance %s answers on %s",
				 instance->name, text);
	}
	vip_set_close(&set);
	return err;
}

/* The last address of a network. */
static void last_ip(const struct weir_vip_key *key, uint32_t ip[4])
{
	uint32_t bit, bits = key->bits - VIP_FAMILY_BITS;
	uint8_t *byte = (uint8_t *)ip;

	memcpy(ip, key->ip, sizeof(key->ip));
	for (bit = bits; bit < vip_family_bits(key->family); bit++)
		byte[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
}

/* Would the program give a client of this address to some socket, or drop him? */
static bool prog_claims(int fd, const struct claim *claim, const uint32_t ip[4], uint16_t port)
{
	struct bpf_sk_lookup ask = {
		.family = claim->key.family, .protocol = claim->range.proto, .local_port = port,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = &ask, .ctx_size_in = sizeof(ask),
		    .ctx_out = &ask, .ctx_size_out = sizeof(ask));
	int err;

	if (claim->key.family == WEIR_FAMILY_INET)
		ask.local_ip4 = ip[0];
	else
		memcpy(ask.local_ip6, ip, sizeof(ask.local_ip6));
	err = bpf_prog_test_run_opts(fd, &opts);
	/* The kernel's answer when it chose a socket of a reuseport group. */
	if (err)
		return err == -EOPNOTSUPP;
	return ask.cookie || opts.retval != SK_PASS;
}

static int foreign_asked(void *ctx, int fd, const struct bpf_prog_info *info)
{
	const struct claim *claim = ctx;
	const uint16_t ports[] = { claim->range.first, claim->range.last };
	uint32_t ip[2][4];
	int i;

	if (info->id == claim->prog_id)
		return 0;
	memcpy(ip[0], claim->key.ip, sizeof(ip[0]));
	last_ip(&claim->key, ip[1]);
	for (i = 0; i < 4; i++) {
		if (prog_claims(fd, claim, ip[i & 1], ports[i >> 1]))
			return reason_set(claim->reason, -EADDRINUSE, "sk_lookup program %s (id "
					  "%u) answers there", info->name, info->id);
	}
	return 0;
}

/* All programs of this network namespace but the instance's own. */
static int foreign_claims(struct claim *claim)
{
	struct bpf_prog_info info = {};
	int fd, err;

	err = pin_info(claim->dir_fd, "weir_lookup", &info, sizeof(info));
	claim->prog_id = err ? 0 : info.id;
	fd = netns_open();
	if (fd < 0)
		return fd;
	err = lookup_walk(fd, foreign_asked, claim);
	close(fd);
	return err == -EPERM ? 0 : err;
}

static int nobody_else(struct claim *claim)
{
	int err;

	if (claim->netns_cookie != netns_cookie())
		return reason_set(claim->reason, -EXDEV, "instance %s is of another network "
				  "namespace", claim->name);
	err = weir_bpf_list(instance_claims, claim);
	return err ? err : foreign_claims(claim);
}

/* changes, under the lock of the root directory */

/* Networks that come or go together. */
struct change {
	const struct weir_bpf_vip *vips;
	unsigned int count;
	bool add;
	unsigned int *at;		/* which one is looked at: the bad one, after a failure */
};

static int claim_proto(struct claim *claim, struct weir_bpf_vip *vip)
{
	bool dgram = !faccessat(claim->dir_fd, "weir_dgram", F_OK, 0);
	uint32_t proto = dgram ? WEIR_PROTO_UDP : WEIR_PROTO_TCP;

	if (vip->proto && vip->proto != proto)
		return reason_set(claim->reason, -EPROTOTYPE, "instance %s serves %s", claim->name,
				  dgram ? "datagrams" : "connections");
	vip->proto = proto;
	return 0;
}

/*
 * What was not said is the service's own. Answers to datagrams leave from the port of
 * the socket, so there is none else for them; while it is not bound yet, the program
 * passes by what turns out to be another one.
 */
static int claim_fill(struct claim *claim, const struct weir_meta *meta, struct weir_bpf_vip vip,
		      bool add)
{
	bool v6 = vip.family == WEIR_FAMILY_INET6 || !meta->port4;
	uint16_t port = v6 ? meta->port6 : meta->port4;
	int err = claim_proto(claim, &vip);

	if (err)
		return err;
	if (!vip.first && !port)
		return reason_set(claim->reason, -EADDRNOTAVAIL, "instance %s has no port there "
				  "of its own (yet): which one has to be said", claim->name);
	if (!vip.first) {
		vip.first = port;
		vip.last = port;
	}
	if (add && vip.proto == WEIR_PROTO_UDP && vip.first != vip.last)
		return reason_set(claim->reason, -EADDRNOTAVAIL, "instance %s serves datagrams: "
				  "answers leave from one port alone, that of the service",
				  claim->name);
	if (add && vip.proto == WEIR_PROTO_UDP && port && vip.first != port)
		return reason_set(claim->reason, -EADDRNOTAVAIL, "instance %s serves datagrams: "
				  "answers leave from its port, %u", claim->name, port);
	vip_split(&vip, &claim->key, &claim->range);
	return 0;
}

/* In memory alone, so that the rest of the change may still be refused. */
static int one_change(struct claim *claim, struct vip_set *set, const struct weir_meta *meta,
		      const struct weir_bpf_vip *vip, bool add)
{
	int err = claim_fill(claim, meta, *vip, add);

	if (err)
		return err;
	err = add ? vip_set_add(set, &claim->key, &claim->range) :
		    vip_set_del(set, &claim->key, &claim->range);
	if (err == -EEXIST)
		reason_set(claim->reason, err, "instance %s answers there already", claim->name);
	else if (err)
		reason_set(claim->reason, err, "instance %s: %s", claim->name, strerror(-err));
	return err || !add ? err : nobody_else(claim);
}

static int set_change(struct claim *claim, const struct weir_meta *meta,
		      const struct change *change)
{
	struct vip_set set;
	unsigned int i;
	int err;

	err = vip_set_open(&set, claim->dir_fd, true);
	if (err == -EOPNOTSUPP)
		return reason_set(claim->reason, err, "instance %s was opened without sk_lookup",
				  claim->name);
	if (err)
		return reason_set(claim->reason, err, "instance %s: %s", claim->name,
				  strerror(-err));
	for (i = 0; i < change->count && !err; i++) {
		*change->at = i;
		err = one_change(claim, &set, meta, &change->vips[i], change->add);
	}
	if (!err) {
		err = vip_set_write(&set);
		reason_set(claim->reason, err, "instance %s: cannot store it: %s", claim->name,
			   strerror(-err));
	}
	vip_set_close(&set);
	return err;
}

static int dir_change(struct claim *claim, const struct change *change)
{
	struct weir_meta meta;
	int err;

	err = lock_wait(claim->root_fd);
	if (err)
		return reason_set(claim->reason, err, "cannot lock weir's directory: %s",
				  err == -ETIMEDOUT ? "another process holds the lock" :
				  strerror(-err));
	claim->dir_fd = pins_at(claim->root_fd, claim->name);
	err = claim->dir_fd < 0 ? claim->dir_fd : pin_meta(claim->dir_fd, &meta);
	if (err) {
		reason_set(claim->reason, err, "cannot open instance %s: %s", claim->name,
			   strerror(-err));
	} else {
		claim->netns_cookie = meta.netns_cookie;
		err = set_change(claim, &meta, change);
	}
	if (claim->dir_fd >= 0)
		close(claim->dir_fd);
	return err;
}

static int vip_change(const char *name, const struct change *change, const struct reason *reason)
{
	struct claim claim = { .name = name, .reason = reason };
	bool valid = name && name_valid(name);
	unsigned int i;
	int err;

	for (i = 0; i < change->count && valid; i++) {
		*change->at = i;
		valid = vip_valid(&change->vips[i]);
	}
	if (!valid)
		return reason_set(reason, -EINVAL, "no instance name, or no network and ports");
	claim.root_fd = root_open(false, reason);
	if (claim.root_fd < 0)
		return claim.root_fd;
	err = dir_change(&claim, change);
	close(claim.root_fd);
	return err;
}

int weir_bpf_vip_add_all(const char *name, const struct weir_bpf_vip *vips, unsigned int count,
			 unsigned int *at, char *reason, size_t reason_bytes)
{
	const struct reason why = { reason, reason_bytes };
	unsigned int none;

	return vip_change(name, &(struct change){ vips, count, true, at ?: &none }, &why);
}

int weir_bpf_vip_del_all(const char *name, const struct weir_bpf_vip *vips, unsigned int count,
			 unsigned int *at)
{
	unsigned int none;

	return vip_change(name, &(struct change){ vips, count, false, at ?: &none }, NULL);
}

int weir_bpf_vip_add(const char *name, const struct weir_bpf_vip *vip, char *reason,
		     size_t reason_bytes)
{
	return weir_bpf_vip_add_all(name, vip, 1, NULL, reason, reason_bytes);
}

int weir_bpf_vip_del(const char *name, const struct weir_bpf_vip *vip)
{
	return weir_bpf_vip_del_all(name, vip, 1, NULL);
}

/* reading */

int weir_bpf_vip_list(const char *name, int (*fn)(void *ctx, const struct weir_bpf_vip *vip),
		      void *ctx)
{
	struct weir_bpf_vip vip;
	struct vip_set set;
	uint32_t i, j;
	struct weir_meta meta;
	int fd, err;

	fd = instance_dir(name, &meta);
	if (fd < 0)
		return fd;
	err = vip_set_open(&set, fd, false);
	close(fd);
	if (err)
		return err;
	for (i = 0; i < set.count && !err; i++) {
		for (j = 0; j < set.entry[i].vip.own && !err; j++) {
			vip_join(&vip, &set.entry[i].key, &set.entry[i].vip.range[j]);
			err = fn(ctx, &vip);
		}
	}
	vip_set_close(&set);
	return err;
}

int weir_bpf_vip_stats(const char *name, struct weir_vip_stats *stats)
{
	struct weir_meta meta;
	int fd, map_fd, err;

	fd = instance_dir(name, &meta);
	if (fd < 0)
		return fd;
	map_fd = pin_read(fd, "weir_vip_stats", false);
	close(fd);
	if (map_fd < 0)
		return map_fd == -ENOENT ? -EOPNOTSUPP : map_fd;
	err = percpu_sum(map_fd, 0, (uint64_t *)stats, sizeof(*stats) / sizeof(uint64_t));
	close(map_fd);
	return err;
}
