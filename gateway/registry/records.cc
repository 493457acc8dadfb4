#include "gateway/registry/records.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "gateway/registry/display_name.h"
#include "gateway/registry/password_hash.h"
#include "gateway/registry/profile.h"
#include "protocol/mqtt/topic.h"

namespace berth::gateway::registry {
namespace {

constexpr std::size_t kNameMax = 64;
constexpr std::size_t kAuthIdMax = 128;
constexpr std::size_t kLabelMax = 256;  // bytes, of a key and of a value
constexpr int kLabelsMax = 32;
constexpr int kCredentialsMax = 8;
constexpr int kTopicsMax = 16;
constexpr int kAuthoritiesMax = 16;
constexpr int kSitesMax = 1000;
constexpr int kRightsMax = 4;
constexpr std::size_t kKeyMin = 16;        // bytes
constexpr std::size_t kDigestDigits = 64;  // of a SHA-256 in hexadecimal

[[noreturn]] void bad_record(const std::string& why) {
  throw BadRecord(why);
}

void check_name(const std::string& what, const std::string& name) {
  if (valid_name(name)) return;
  const bool ascii = std::none_of(name.begin(), name.end(), [](char c) { return (c & 0x80) != 0; });
  bad_record(what + " '" + name +
             "' is not 1 to 64 of A-Z a-z 0-9 _ . - beginning with a letter or digit" +
             (ascii ? "" : ": put text of other scripts into display_name"));
}

void check_display_name(const std::string& text) {
  if (const std::string fault = fault_of_display_name(text); !fault.empty()) bad_record(fault);
}

// "93:D2:…", as openssl prints a digest, in lower case and without colons. Empty: not in this form.
std::string digits_of_pairs(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool good = i % 3 == 2 ? c == ':' : std::isxdigit(c) != 0;
    if (!good) return {};
    if (i % 3 != 2) out.push_back(static_cast<char>(std::tolower(c)));
  }
  return text.size() % 3 == 2 ? out : std::string();
}

void check_labels(const google::protobuf::Map<std::string, std::string>& labels) {
  if (labels.size() > kLabelsMax) bad_record("more than 32 labels");
  for (const auto& [k, v] : labels) {
    if (k.empty() || k.size() > kLabelMax || v.size() > kLabelMax)
      bad_record("label '" + k + "' or its value is empty or longer than 256 bytes");
  }
}

bool same(const pb::Credential& a, const pb::Credential& b) {
  return a.type() == b.type() && a.auth_id() == b.auth_id() && a.certificate() == b.certificate();
}

void check_auth_id(const pb::Credential& c) {
  const auto printable = [](char ch) { return ch > ' ' && ch != '@' && ch != 0x7f; };
  const std::string& id = c.auth_id();
  const bool good =
      !id.empty() && id.size() <= kAuthIdMax &&
      std::all_of(id.begin(), id.end(), [&](char ch) { return (ch & 0x80) != 0 || printable(ch); });
  if (!good) bad_record("auth_id '" + id + "' is not 1 to 128 characters without space and '@'");
}

// Has `old` this password already, and is its hash as good as a new one?
bool has_password(const pb::Credential& old, const std::string& password, Hashing hashing) {
  if (hashing.verify_left == nullptr) return false;
  std::string why;
  const auto hash = PasswordHash::parse(old.password_hash(), why);
  if (!hash || hash->iterations() < hashing.iterations) return false;
  if (*hashing.verify_left < hash->iterations()) return false;
  *hashing.verify_left -= hash->iterations();
  return hash->verify(password);
}

void settle_password(pb::Credential& c, const pb::Credential* old, Hashing hashing) {
  check_auth_id(c);
  if (!c.password().empty()) {
    const bool same = old != nullptr && has_password(*old, c.password(), hashing);
    c.set_password_hash(same ? old->password_hash()
                             : PasswordHash::make(c.password(), hashing.iterations));
  }
  c.clear_password();
  if (c.password_hash().empty() && old != nullptr) c.set_password_hash(old->password_hash());
  std::string why;
  if (c.password_hash().empty()) bad_record("credential '" + c.auth_id() + "' has no password");
  if (!PasswordHash::parse(c.password_hash(), why))
    bad_record("password_hash of '" + c.auth_id() + "': " + why);
}

void settle_key(pb::Credential& c, const pb::Credential* old) {
  check_auth_id(c);
  if (c.key().empty() && old != nullptr) c.set_key(old->key());
  if (c.key().empty()) bad_record("credential '" + c.auth_id() + "' of type hmac has no key");
  const std::size_t size = decode_base64(c.key()).size();
  if (size == 0) bad_record("key of '" + c.auth_id() + "' is not base64");
  if (size < kKeyMin)
    bad_record("key of '" + c.auth_id() + "' has " + std::to_string(size) + " bytes, at least " +
               std::to_string(kKeyMin) + " are needed");
}

void settle_authority(std::string& a) {
  a = canonical_certificate(a);
  const bool hex = a.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (a.size() != kDigestDigits || !hex)
    bad_record("authority '" + a + "' is not the SHA-256 of a public key, 64 hex digits");
}

// A fingerprint of another kind than the edge makes would match no certificate.
void settle_certificate(pb::Credential& c) {
  if (c.certificate().empty()) bad_record("x509 credential without certificate");
  c.set_certificate(canonical_certificate(c.certificate()));
  const std::size_t digits = digits_of_pairs(c.certificate()).size();
  for (const std::size_t other :
       {32U, 40U, 56U, 96U, 128U}) {  // MD5, SHA-1, SHA-2 of other lengths
    if (digits == other)
      bad_record("certificate '" + c.certificate() +
                 "' is not a SHA-256 fingerprint: openssl x509 "
                 "-noout -fingerprint -sha256 shows it");
  }
  if (!c.authority().empty()) settle_authority(*c.mutable_authority());
}

void settle(pb::Credential& c, const pb::Credential* old, Hashing hashing) {
  if (c.type().empty()) {
    c.set_type(!c.certificate().empty() ? "x509" : !c.key().empty() ? "hmac" : "password");
  }
  const bool mixed =
      (c.type() != "x509" && !c.authority().empty()) ||
      (c.type() != "password" && (!c.password().empty() || !c.password_hash().empty())) ||
      (c.type() != "hmac" && !c.key().empty()) || (c.type() != "x509" && !c.certificate().empty());
  if (mixed) bad_record("credential of type " + c.type() + " with what belongs to another type");
  if (c.type() == "password") return settle_password(c, old, hashing);
  if (c.type() == "hmac") return settle_key(c, old);
  if (c.type() != "x509")
    bad_record("credential type '" + c.type() + "' is none of password, hmac, x509");
  settle_certificate(c);
}

using Credentials = google::protobuf::RepeatedPtrField<pb::Credential>;

// Of a credential that names neither its type nor a secret: that of the stored one by its name.
void take_type(pb::Credential& c, const Credentials* old) {
  if (!c.type().empty() || !c.certificate().empty() || !c.key().empty()) return;
  c.set_type("password");
  if (old == nullptr || !c.password().empty() || !c.password_hash().empty()) return;
  const auto known = [&](const char* type) {
    return std::any_of(old->begin(), old->end(), [&](const pb::Credential& o) {
      return o.type() == type && o.auth_id() == c.auth_id();
    });
  };
  if (!known("password") && known("hmac")) c.set_type("hmac");
}

void settle_all(Credentials& all, const Credentials* old, Hashing hashing) {
  if (all.size() > kCredentialsMax) bad_record("more than 8 credentials");
  for (int i = 0; i < all.size(); ++i) {
    pb::Credential& c = all[i];
    take_type(c, old);
    const pb::Credential* before = nullptr;
    for (int j = 0; old != nullptr && j < old->size(); ++j) {
      if (same((*old)[j], c)) before = &(*old)[j];
    }
    settle(c, before, hashing);
    if (c.has_not_before() && c.has_not_after() &&
        c.not_after().seconds() <= c.not_before().seconds())
      bad_record("credential '" + c.auth_id() + "' ends before it begins");
    for (int j = 0; j < i; ++j) {
      if (same(all[j], c)) bad_record("credential '" + c.auth_id() + c.certificate() + "' twice");
    }
  }
}

void check_topic(const std::string& topic) {
  if (!protocol::mqtt::valid_topic_filter(topic) || topic[0] == '$' || topic[0] == '+' ||
      topic[0] == '#' || topic == "v1" || topic.starts_with("v1/"))
    bad_record("topic '" + topic + "' is no filter that begins with a name other than v1");
}

void check_role(const pb::Account& a) {
  if (a.role() != "service" && a.role() != "operator")
    bad_record("role '" + a.role() + "' is neither service nor operator");
  if (a.sites_size() > kSitesMax) bad_record("more than 1000 sites");
  for (const std::string& s : a.sites()) check_name("site", s);
  for (const std::string& right : a.api()) {
    const bool looks = right == "read" || right == "plates";
    if (!looks && right != "change" && right != "command")
      bad_record("api: '" + right + "' is none of read, plates, change, command");
    if (!looks && a.role() == "operator") bad_record("api: an operator only reads");
  }
  if (a.api_size() > kRightsMax) bad_record("api: each right once");
}

// Against the system's time zones; where there are none, as in a slim image, its form alone.
void check_time_zone(const std::string& zone) {
  static const std::string kZones = "/usr/share/zoneinfo";
  const auto good = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '/' || c == '_' || c == '-' ||
           c == '+';
  };
  std::error_code ec;
  const bool form = zone.size() <= kNameMax && std::all_of(zone.begin(), zone.end(), good) &&
                    zone.front() != '/' && zone.back() != '/';
  const bool known = !std::filesystem::exists(kZones + "/UTC", ec) ||
                     std::filesystem::is_regular_file(kZones + "/" + zone, ec);
  if (!form || !known)
    bad_record("time_zone '" + zone + "' is not one of IANA's, Asia/Shanghai for example");
}

// The devices that it names are looked up where it is written (import.cc).
void check_place(const pb::Device& d) {
  if (d.firmware().size() > kNameMax || !protocol::mqtt::valid_utf8(d.firmware()))
    bad_record("firmware has more than 64 bytes, or is not UTF-8");
  for (const auto& [what, name] : {std::pair{"parent", &d.parent()}, {"executor", &d.executor()}}) {
    if (name->empty()) continue;
    check_name(what, *name);
    if (*name == d.name()) bad_record(std::string(what) + " '" + *name + "' is the device itself");
  }
  if (!d.child().empty()) check_name("child", d.child());
  if (!d.child().empty() && d.parent().empty() && d.executor().empty())
    bad_record("child '" + d.child() + "' needs the parent or executor that it stands behind");
}

void check_profile(const pb::Product& p) {
  try {
    const Profile profile(p);
  } catch (const BadProfile& e) {
    bad_record(std::string("profile: ") + e.what());
  }
}

template <class T>
void settle_record(T& m, const Message* old, Hashing hashing) {
  check_labels(m.labels());
  check_display_name(m.display_name());
  if constexpr (std::is_same_v<T, pb::Product>) {
    if (m.topics_size() > kTopicsMax) bad_record("more than 16 topics");
    for (const std::string& t : m.topics()) check_topic(t);
    check_profile(m);
  }
  if constexpr (std::is_same_v<T, pb::Tenant>) {
    if (!m.envelopes().empty() && m.envelopes() != "protobuf" && m.envelopes() != "json")
      bad_record("envelopes '" + m.envelopes() + "' is neither protobuf nor json");
    if (m.authorities_size() > kAuthoritiesMax) bad_record("more than 16 authorities");
    for (std::string& a : *m.mutable_authorities()) settle_authority(a);
  }
  if constexpr (std::is_same_v<T, pb::Site>) {
    if (!m.time_zone().empty()) check_time_zone(m.time_zone());
    if (m.limits().retained_messages() != 0)
      bad_record("limits.retained_messages is a tenant's, not a site's");
  }
  if constexpr (std::is_same_v<T, pb::Device>) {
    check_name("site", m.site());
    if (!m.product().empty()) check_name("product", m.product());
    check_place(m);
  }
  if constexpr (std::is_same_v<T, pb::Account>) check_role(m);
  if constexpr (std::is_same_v<T, pb::Device> || std::is_same_v<T, pb::Account>) {
    const auto* before = static_cast<const T*>(old);
    settle_all(*m.mutable_credentials(), before != nullptr ? &before->credentials() : nullptr,
               hashing);
  }
}

// Calls f with the message as what it is.
template <class F>
void visit(Kind kind, Message& m, F&& f) {
  switch (kind) {
    case Kind::tenant:
      return f(static_cast<pb::Tenant&>(m));
    case Kind::site:
      return f(static_cast<pb::Site&>(m));
    case Kind::product:
      return f(static_cast<pb::Product&>(m));
    case Kind::device:
      return f(static_cast<pb::Device&>(m));
    case Kind::account:
      return f(static_cast<pb::Account&>(m));
  }
}

template <class T>
void redact(T& m) {
  if constexpr (std::is_same_v<T, pb::Device> || std::is_same_v<T, pb::Account>) {
    for (pb::Credential& c : *m.mutable_credentials()) {
      c.clear_password();
      c.clear_password_hash();
      c.clear_key();
    }
  }
}

}  // namespace

bool valid_name(std::string_view name) {
  const auto alnum = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !name.empty() && name.size() <= kNameMax && alnum(name[0]) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return alnum(c) || c == '_' || c == '.' || c == '-'; });
}

std::string canonical_certificate(std::string_view name) {
  static constexpr std::string_view kShown = " fingerprint=";  // "sha256 Fingerprint=93:D2:…"
  const auto lower = [](std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
  };
  const std::size_t shown = lower(name).find(kShown);
  if (shown == 3 || shown == 4 || shown == 6) name.remove_prefix(shown + kShown.size());
  std::string digits = digits_of_pairs(name);
  if (digits.size() == kDigestDigits) return digits;
  const auto is_digit = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  const bool bare = name.size() == kDigestDigits && std::all_of(name.begin(), name.end(), is_digit);
  return bare ? lower(name) : std::string(name);
}

std::string key_of(Kind kind, std::string_view tenant, std::string_view name) {
  std::string k{static_cast<char>(kind), '/'};
  k.append(tenant);
  if (kind != Kind::tenant) k.append("/").append(name);
  return k;
}

Key parse_key(std::string_view key) {
  Key k{static_cast<Kind>(key[0]), key.substr(2), {}};
  const std::size_t slash = k.tenant.find('/');
  if (slash == std::string_view::npos) return k;
  k.name = k.tenant.substr(slash + 1);
  k.tenant = k.tenant.substr(0, slash);
  return k;
}

std::unique_ptr<Message> make_message(Kind kind) {
  switch (kind) {
    case Kind::tenant:
      return std::make_unique<pb::Tenant>();
    case Kind::site:
      return std::make_unique<pb::Site>();
    case Kind::product:
      return std::make_unique<pb::Product>();
    case Kind::device:
      return std::make_unique<pb::Device>();
    case Kind::account:
      return std::make_unique<pb::Account>();
  }
  return nullptr;
}

std::unique_ptr<Message> message_of(Kind kind, const std::string& value) {
  auto m = make_message(kind);
  if (m == nullptr || !m->ParseFromString(value)) bad_record("damaged record");
  return m;
}

std::string deterministic(const Message& m) {
  std::string out;
  google::protobuf::io::StringOutputStream bytes(&out);
  google::protobuf::io::CodedOutputStream coded(&bytes);
  coded.SetSerializationDeterministic(true);
  m.SerializeToCodedStream(&coded);
  coded.Trim();
  return out;
}

std::string normalized(const Key& key, Message& m, const Message* old, Hashing hashing) {
  const bool tenant = key.kind == Kind::tenant;
  check_name("tenant", std::string(key.tenant));
  const std::string name(tenant ? key.tenant : key.name);
  check_name("name", name);
  visit(key.kind, m, [&](auto& record) {
    if (!record.name().empty() && record.name() != name)
      bad_record("name '" + record.name() + "' is not that of the place, '" + name + "'");
    record.set_name(name);
    settle_record(record, old, hashing);
  });
  return deterministic(m);
}

std::unique_ptr<Message> from_json(Kind kind, const std::string& json) {
  auto m = make_message(kind);
  const auto status = google::protobuf::util::JsonStringToMessage(json, m.get());
  if (!status.ok()) bad_record(std::string(status.message()));
  return m;
}

std::string to_json(const Key& key, const std::string& value, Secrets secrets) {
  auto m = message_of(key.kind, value);
  if (secrets == Secrets::left_out) visit(key.kind, *m, [](auto& record) { redact(record); });
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string out;
  if (!google::protobuf::util::MessageToJsonString(*m, &out, options).ok()) return "{}";
  return out;
}

}  // namespace berth::gateway::registry
