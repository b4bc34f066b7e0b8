#include "rpc/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool wrong(const char *text, Error *err)
{
  return error_set(err, ERR_INVALID,
                   "address \"%.200s\": expected HOST:PORT, such as 127.0.0.1:6570 or [::1]:6570",
                   text);
}

static bool valid_port(const char *text)
{
  size_t digits = strspn(text, "0123456789");
  if (digits == 0 || digits > 5 || text[digits]) {
    return false;
  }
  unsigned port = 0;
  for (const char *at = text; *at; at++) {
    port = port * 10 + (unsigned)(*at - '0');
  }
  return port <= UINT16_MAX;
}

bool address_parse(const char *text, Address *address, Error *err)
{
  const char *host = text;
  const char *colon = strrchr(text, ':');
  if (!colon || !valid_port(colon + 1)) {
    return wrong(text, err);
  }
  size_t size = (size_t)(colon - host);
  if (size >= 2 && host[0] == '[' && host[size - 1] == ']') {
    host++;
    size -= 2;
  } else if (memchr(host, ':', size)) {
    return wrong(text, err);
  }
  if (size >= sizeof(address->host) || memchr(host, '[', size)) {
    return wrong(text, err);
  }
  memcpy(address->host, host, size);
  address->host[size] = '\0';
  snprintf(address->port, sizeof(address->port), "%s", colon + 1);
  return true;
}

bool address_resolve(const Address *address, bool listening, struct addrinfo **list, Error *err)
{
  struct addrinfo hints = {
      .ai_family = AF_UNSPEC,
      .ai_socktype = SOCK_STREAM,
      .ai_flags = AI_NUMERICSERV | (listening ? AI_PASSIVE : 0),
  };
  const char *host = *address->host ? address->host : NULL;
  int rc = getaddrinfo(host, address->port, &hints, list);
  if (rc) {
    return error_set(err, ERR_IO, "find the address of \"%s\": %s", address->host,
                     gai_strerror(rc));
  }
  return true;
}

void address_print(const struct sockaddr *address, char *out)
{
  char host[INET6_ADDRSTRLEN] = "?";
  if (address->sa_family == AF_INET6) {
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof(host));
    snprintf(out, ADDRESS_TEXT_SIZE, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    return;
  }
  const struct sockaddr_in *four = (const struct sockaddr_in *)address;
  inet_ntop(AF_INET, &four->sin_addr, host, sizeof(host));
  snprintf(out, ADDRESS_TEXT_SIZE, "%s:%u", host, (unsigned)ntohs(four->sin_port));
}
