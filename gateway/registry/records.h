// One record of the registry: its key, its JSON, what is good in it (registry.proto). Secrets come
// in and go out only in a backup. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "gateway/registry/registry.pb.h"

namespace berth::gateway::registry {

// Why a record is not taken, for people.
struct BadRecord : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// As in keys.
enum class Kind : char { tenant = 't', site = 's', product = 'p', device = 'd', account = 'a' };

// ^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$: of tenants, sites, products, devices, accounts.
bool valid_name(std::string_view name);

// What a certificate is known by, in one form: of a SHA-256, as openssl prints it (93:D2:…) or as
// 64 hexadecimal digits, these digits in lower case, as the edge makes them; else `name`.
std::string canonical_certificate(std::string_view name);

std::string key_of(Kind kind, std::string_view tenant, std::string_view name = {});
struct Key {
  Kind kind{};
  std::string_view tenant;
  std::string_view name;  // empty: of a tenant
};
Key parse_key(std::string_view key);  // of key_of()

using Message = google::protobuf::Message;
std::unique_ptr<Message> make_message(Kind kind);
// `value`: serialized. Throws BadRecord if it is damaged.
std::unique_ptr<Message> message_of(Kind kind, const std::string& value);

std::string deterministic(const Message& m);  // the same message is the same bytes

// What a file, an import or a request says, checked and as it is stored: names are good, passwords
// hashed (PBKDF2, Hashing), fingerprints in one form, a credential without its secret has that of
// `old` (null: none) with the same auth_id or certificate, and its type. Throws BadRecord.
struct Hashing {
  Hashing(int n, std::int64_t* left = nullptr) : iterations(n), verify_left(left) {}
  int iterations;
  // Not null: a password that `old` has already stays as it is hashed there. Trying that takes as
  // many iterations as the hash has; this many are left.
  std::int64_t* verify_left;
};
std::string normalized(const Key& key, Message& m, const Message* old, Hashing hashing);
// JSON of an object as registry.proto has it; unknown fields are refused. Throws BadRecord.
std::unique_ptr<Message> from_json(Kind kind, const std::string& json);
enum class Secrets : bool { left_out, shown };  // password hashes and keys
std::string to_json(const Key& key, const std::string& value, Secrets secrets = Secrets::left_out);

// `record`: any of them but a product.
template <class T>
bool enabled(const T& record) {
  return !record.has_enabled() || record.enabled();
}

}  // namespace berth::gateway::registry
