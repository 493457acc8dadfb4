// The identity of a connection, and the topics that it can name at all (I8). A registered device or
// account has a Scope; whatever it says of topics goes through enter() and comes back through
// leave(), so a topic of another tenant, or of another device, has no name by which it could be
// asked for.
//
//   inside                              what a device calls it    what a service calls it
//   $tenant/acme/v1/north/cam-1/event/x v1/event/x                v1/north/cam-1/event/x
//   $tenant/acme/device/42/up           device/42/up (allowed)    device/42/up
//
// A device names no topic in a service's form, v1/SITE/DEVICE/event/x: inside, the names of a site
// and a device would stand twice. Its own first level may be any other name, and of event,
// telemetry, state, desired, cmd and sub (a child: v1/sub/CHILD/event/x) what follows is its own.
//
// Connections without a Scope (password file, anonymous) have the topics outside of $tenant/.
// Immutable; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace berth::session {

enum class Role : std::uint8_t {
  device = 0,
  service = 1,   // a platform's back end: its tenant's topics, or those of some sites
  operator_ = 2  // a person: subscribes as a service does, publishes nothing
};

inline constexpr std::string_view kTenantRoot = "$tenant/";

// Stored in cookies. Names are of letters, digits, '_', '.', '-' (registry), at most 64 bytes.
struct Principal {
  std::string tenant;
  Role role = Role::device;
  std::string name;  // of the device or account, one of its role in its tenant
  bool operator==(const Principal&) const = default;
  // Begins the key of each of its sessions. Holds U+0000, which no client id can.
  std::string key() const;
};

// How services get what a device publishes (device_messages.h). Numbers are in cookies.
enum class Format : std::uint8_t { as_is = 0, protobuf = 1, json = 2 };
struct Translation {
  Format format = Format::as_is;
  std::string product;  // that has messages of its own; empty: none
  bool operator==(const Translation&) const = default;
};

class Scope {
 public:
  // `site`: of a device. `allowed`: a device's topic filters beside v1/, a service's or operator's
  // sites (none: all).
  Scope(Principal who, std::string site, std::vector<std::string> allowed,
        Translation translation = {});

  const Principal& who() const { return who_; }
  const std::string& site() const { return site_; }
  const std::vector<std::string>& allowed() const { return allowed_; }
  const Translation& translation() const { return translation_; }
  bool translates() const { return translates_; }
  bool operator==(const Scope& o) const {
    return who_ == o.who_ && site_ == o.site_ && allowed_ == o.allowed_ &&
           translation_ == o.translation_;
  }
  // Sessions with this client id in two scopes are two sessions.
  std::string session_key(std::string_view client_id) const {
    return who_.key() + std::string(client_id);
  }

  // What `topic` is inside; false: it can't be published to, or subscribed to. `filter` is without
  // "$share/group/".
  bool enter_topic(std::string_view topic, std::string& inside) const;
  bool enter_filter(std::string_view filter, std::string& inside) const;
  // The other way; `inside` is one that this scope could subscribe to. May be kept in `scratch`.
  std::string_view leave(std::string_view inside, std::string& scratch) const;

 private:
  bool of_its_sites(std::string_view topic) const;
  bool is_services_form(std::string_view after_v1) const;
  Principal who_;
  std::string site_;
  std::vector<std::string> allowed_;
  Translation translation_;
  bool translates_ = false;
  std::string tenant_root_;  // "$tenant/acme/"
  std::string own_;          // "$tenant/acme/v1/north/cam-1/"; empty: not a device
};
using ScopePtr = std::shared_ptr<const Scope>;

// SITE of "$tenant/TENANT/v1/SITE/…", a topic inside; empty: another kind of topic.
std::string_view site_of_topic(std::string_view inside);

// v1/SITE/DEVICE/cmd/… or v1/SITE/DEVICE/command/ID/request/TYPE, as services call it.
bool is_command(std::string_view topic);
// What stands behind v1/SITE/DEVICE/: command/ID/request/TYPE.
bool is_command_request(std::string_view after_device);

// The client id of a session's key.
inline std::string_view client_id_of(std::string_view session_key) {
  return session_key.substr(session_key.rfind('\0') + 1);
}
// Principal::key() of a session's key; empty: of no Scope.
inline std::string_view principal_of(std::string_view session_key) {
  return session_key.substr(0, session_key.rfind('\0') + 1);
}

}  // namespace berth::session
