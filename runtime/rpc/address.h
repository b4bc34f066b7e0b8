#pragma once
// Network addresses as people write them: "127.0.0.1:6570", "localhost:0", "[::1]:6570", ":6570".

#include <netdb.h>
#include <sys/socket.h>

#include "base/error.h"

enum { ADDRESS_HOST_SIZE = 256, ADDRESS_TEXT_SIZE = ADDRESS_HOST_SIZE + 16 };

typedef struct {
  char
      host[ADDRESS_HOST_SIZE];  // without brackets; "": every address when listening, else loopback
  char port[8];
} Address;

bool address_parse(const char *text, Address *address, Error *err);

// The socket addresses it stands for; the caller frees them with freeaddrinfo.
bool address_resolve(const Address *address, bool listening, struct addrinfo **list, Error *err);

// "127.0.0.1:6570" or "[::1]:6570"; `out` holds ADDRESS_TEXT_SIZE bytes.
void address_print(const struct sockaddr *address, char *out);
