// What the log says of connections that no engine knows by name: those that are refused at accept,
// fail in TLS or end before they have logged in; and of those that engines have died of. Who has
// logged in is named by the engine
// (session/events.h), one line for each end; the edge's own line for it is of level debug.
// Any thread.
#pragma once

#include <openssl/types.h>

#include <string>
#include <string_view>

#include "gateway/edge/connection.h"
#include "gateway/edge/quarantine.h"

namespace berth::gateway::edge::events {

enum class Refused : std::uint8_t { connections, listener, proxy, address, descriptors };
void refused(Refused why, const base::Address& peer, std::uint16_t port, Transport t);
void ended(const Connection& c);  // its socket is closed, `reason` says why
// `why` empty: what OpenSSL's queue of errors and the verification say. Before SSL_free().
void tls_failed(const Connection& c, std::string_view why);

// `s.name`: whose it is.
void engine_died_of(const Connection& c, const Quarantine::Strike& s);
void untrusted(const Connection& c);  // its certificate is not good any more
void kept_out(const Connection& c);   // of an address in quarantine
void refused_proxy_header(const Connection& c);

}  // namespace berth::gateway::edge::events
