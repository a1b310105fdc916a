/* SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause */
/*
 * addr.h - socket addresses as values, and as text without names.
 *
 *	192.0.2.1:80	*:80			IPv4; * is any
 *	[2001:db8::1]:80			IPv6
 *	[fe80::1%eth0]:80	[fe80::1%2]:80	IPv6 with a scope: RFC 4007, 11
 *	unix:/run/service.sock			Unix, a path
 *	unix:@service				Unix, an abstract name: unix(7)
 *
 * In Unix names \\ is a backslash and \xNN any byte, so that each one has a text.
 */
#ifndef WEIR_ADDR_H
#define WEIR_ADDR_H

#include <sys/socket.h>
#include <weir/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/** enum weir_addr_limits - room for the text of any address, with its NUL */
enum weir_addr_limits {
	WEIR_ADDR_TEXT_MAX	= 448,
};

/**
 * struct weir_addr - a socket address
 * @ss: the address
 * @len: bytes of it in use
 * @pad: zero
 */
struct weir_addr {
	struct sockaddr_storage ss;
	uint32_t len;
	uint32_t pad;
};

/**
 * weir_addr_parse() - numeric text to address
 * @addr: filled in
 * @text: as above; names of hosts are for a resolver
 *
 * Context: Any thread.
 * Return: 0; -EINVAL for what is none of the forms above; -ENODEV for a scope
 * that is no interface here; -ENAMETOOLONG for a Unix name above 107 bytes.
 */
WEIR_API WEIR_MUST_CHECK
int weir_addr_parse(struct weir_addr *addr, const char *text);

/**
 * weir_addr_format() - address to numeric text, which parses to the same
 * @addr: the address
 * @text: where the text goes, ended by a NUL
 * @size: room there; WEIR_ADDR_TEXT_MAX always suffices
 *
 * A scope is written as a number. The name of a Unix socket without one is
 * "unix:", which does not parse.
 *
 * Context: Any thread.
 * Return: length of the text, -ENOSPC, or -EAFNOSUPPORT.
 */
WEIR_API int weir_addr_format(const struct weir_addr *addr, char *text, size_t size);

/**
 * weir_addr_set() - an address from what a system call filled in
 * @addr: filled in
 * @sa: the address
 * @len: bytes of it
 *
 * Context: Any thread.
 * Return: 0; -EINVAL if @len is too long, or too short for the family;
 * -EAFNOSUPPORT for other families than IPv4, IPv6 and Unix.
 */
WEIR_API WEIR_MUST_CHECK
int weir_addr_set(struct weir_addr *addr, const struct sockaddr *sa, size_t len);

/**
 * weir_addr_equal() - do two addresses name the same end?
 * @a: an address
 * @b: another
 *
 * Family, address, port and scope are compared; flow information is not.
 *
 * Context: Any thread.
 * Return: 1 or 0.
 */
WEIR_API int weir_addr_equal(const struct weir_addr *a, const struct weir_addr *b);

/**
 * weir_addr_port() - port of an address
 * @addr: the address
 *
 * Context: Any thread.
 * Return: the port in host order, or -EAFNOSUPPORT where there are none.
 */
WEIR_API int weir_addr_port(const struct weir_addr *addr);

/**
 * weir_addr_set_port() - change the port of an address
 * @addr: the address
 * @port: in host order
 *
 * Context: Any thread.
 * Return: 0, or -EAFNOSUPPORT where there are none.
 */
WEIR_API int weir_addr_set_port(struct weir_addr *addr, uint16_t port);

/**
 * weir_addr_resolve() - addresses of a host, blocking, for start-up
 * @host: name or numeric address
 * @port: put into each address, in host order
 * @addrs: filled in, best first: RFC 6724, section 6
 * @max: room there
 *
 * By getaddrinfo(3): the hosts file, name servers and whatever else the system's
 * nsswitch.conf names, for as long as they take. On a loop call it from
 * weir_prep_work(), or see weir/resolve.h.
 *
 * Context: Any thread.
 * Return: how many addresses there are, at most @max; -ENOENT for a name that
 * does not exist or has no address; -EAGAIN if no server answers; -EREMOTEIO if
 * one fails; -EINVAL for what is no name; -ENOMEM; or another -errno.
 */
WEIR_API WEIR_MUST_CHECK
int weir_addr_resolve(const char *host, uint16_t port, struct weir_addr *addrs, size_t max);

#ifdef __cplusplus
}
#endif

#endif /* WEIR_ADDR_H */
