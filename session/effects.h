// What the Broker asks the shell to do. Called on the shard's thread, in order, during a call into
// the Broker; everything asked for between two flush points of the shell (one loop turn) reaches
// the edge together or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "protocol/link/types.h"
#include "protocol/mqtt/types.h"
#include "session/scope.h"
#include "session/works_for.h"

namespace berth::session {

struct AuthRequest {
  bool has_user_name = false;
  bool loopback = false;
  base::Address address;    // the device's
  std::string certificate;  // the name in it; not empty: it is the user name, whatever CONNECT says
  std::string authorities;  // SHA-256 of the public keys of those that signed it, 32 bytes each
  std::string user_name;
  std::string password;
  std::string client_id;
  std::string nonce;  // not empty: HELLO of the Park protocol, and its proof
  std::string proof;
};

struct AuthResult {
  protocol::mqtt::Reason reason = protocol::mqtt::Reason::success;
  ScopePtr scope;  // of a registered device or account; else null
  // The user name is the device's: a password of the password file or a certificate has shown it.
  bool user_proven = false;
  std::string credential;  // with a Scope: what it has logged in with; empty: not told
  // Of a refusal, for the log; empty: the words of the code. The device is told too, unless it has
  // not proven its identity (0x86, 0x87).
  std::string why;
  std::string_view limit = {};  // that is reached, a literal; empty: none
  std::uint32_t retry_after_ms = 0;
};

class Effects {
 public:
  virtual ~Effects() = default;
  // Sends head and tail. Several calls may carry one packet; the packet must be complete before
  // another function is called for `conn`.
  virtual void send(base::ConnId conn, std::string_view head, std::string_view tail) = 0;
  // A whole packet that must not reach the device after `d.not_after`. False: it is too late
  // already, or d.watch and the edge does not watches(); nothing has been sent. True: it is on its
  // way, and the edge may still drop it, whole: Broker::told() follows then, unless d.tag is 0. An
  // edge of a release before link version 5 does not know deadlines: it writes the packet whenever
  // the socket takes it. A packet that is watched goes through EdgeWords::send().
  // REQUIRES: nothing sent later depends on the packet (it makes no topic alias).
  virtual bool send_until(base::ConnId conn, std::string_view head, std::string_view tail,
                          const protocol::link::Deadline& d) = 0;
  // What follows from Broker::told() is durable: the edge ends its repeats of it.
  virtual void told_taken(base::ConnId conn, std::uint64_t tag, protocol::link::Fate fate) = 0;
  // False: conn's edge is of the last release and says no fates of packets (Deadline::watch).
  virtual bool watches(base::ConnId) { return true; }
  // The number of the turn that will carry to conn's edge what is asked for now; see
  // Broker::accepted(). Counts from 1 for each coming of an edge.
  virtual std::uint64_t turn_of(base::ConnId conn) = 0;
  // Input up to `offset` has taken effect and need not be replayed.
  virtual void acknowledge(base::ConnId conn, std::uint64_t offset) = 0;
  virtual void cookie(base::ConnId conn, protocol::link::CookieSlot slot, std::string bytes) = 0;
  // False: conn's edge is of the last release and has no such slot.
  virtual bool keeps(base::ConnId, protocol::link::CookieSlot) { return true; }
  virtual void connected(base::ConnId conn, const protocol::link::EdgeSettings& settings) = 0;
  // Close after what was sent so far; the edge answers with Broker::closed().
  virtual void close(base::ConnId conn, protocol::link::CloseReason reason) = 0;
  // The engine has forgotten `conn`: the last call for it, after Broker::closed().
  virtual void release(base::ConnId conn) = 0;
  // The shell is to offer the input again that input() did not consume: it calls rested(), then
  // input(). The Broker asks once until rested().
  virtual void resume(base::ConnId conn) = 0;
  // False: so much output waits for the device that no more should be sent now; writable() follows.
  virtual bool writable(base::ConnId conn) = 0;
  // Work on a message of another partition begins.
  virtual void forwarded_begins(std::string_view /*topic*/) {}
  // A principal has logged in: fills the numbers by which the edge knows it, and says whether it
  // may connect. `tenant` empty: it has none.
  enum class Standing : std::uint8_t { good, banned, slow_down };
  virtual Standing standing_of(std::string_view /*principal_key*/, std::string_view /*tenant*/,
                               protocol::link::EdgeSettings& /*out*/) {
    return Standing::good;
  }
  // Answered by Broker::authenticated(), perhaps later.
  virtual void authenticate(base::ConnId conn, AuthRequest request) = 0;
  // Answered by Broker::queue_loaded() with the same `ticket`.
  virtual void load_queue(base::SessionId session, std::uint64_t from, std::size_t count,
                          std::size_t bytes, std::uint64_t ticket) = 0;

  // The connection, or other work, that the core works for now. Calls for a connection are made
  // within a scope (works_for.h).
  Work& work() { return work_; }

 private:
  Work work_;
};

}  // namespace berth::session
