#include "gateway/engine/authenticator.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <charconv>
#include <stdexcept>
#include <utility>

#include "base/siphash.h"
#include "base/text.h"
#include "base/wall_clock.h"
#include "gateway/registry/credential_use.h"
#include "gateway/registry/password_hash.h"
#include "protocol/park/control.h"

namespace berth::gateway::engine {

using protocol::mqtt::Reason;

namespace {

constexpr std::int64_t kClockSkew_s = 300;  // of a device that logs in with a key
constexpr std::string_view kBound = "v2:";

// `why`: for the log; the device hears the code only.
session::AuthResult refusal_of(Reason reason, std::string why) {
  session::AuthResult r;
  r.reason = reason;
  r.why = std::move(why);
  return r;
}
constexpr const char* kAnonymous = "no user name, and auth.anonymous does not let it in";
constexpr const char* kBusy = "too many log-ins wait";

// Of a credential at this time; empty: it is good.
const char* time_fault(const registry::pb::Credential& c) {
  const base::Instant now = base::wall_time();
  if (registry::in_time(c, now)) return "";
  const bool ended = c.has_not_after() && c.not_after().seconds() <= now.ms / 1000;
  return ended ? "its credential has expired" : "its credential is not valid yet";
}

std::string hex_hmac(std::string_view key, std::string_view text) {
  unsigned char d[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), d, &size);
  return base::to_hex({reinterpret_cast<const char*>(d), size});
}

}  // namespace

Authenticator::Authenticator(Options options, Poster post)
    : options_(std::move(options)),
      throttle_(options_.throttle, options_.memory),
      hasher_(std::move(post)) {
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&key_), sizeof key_) != 1)
    throw std::runtime_error("OpenSSL has no random bytes");
}

void Authenticator::use_passwords(PasswordFile file) {
  options_.passwords = std::move(file);
}

bool Authenticator::nobody_asks(const session::AuthRequest& request) const {
  return options_.anonymous == Anonymous::always ||
         (options_.anonymous == Anonymous::loopback && request.loopback);
}

void Authenticator::check(session::AuthRequest request, Done done, base::ConnId conn) {
  const bool by_registry = options_.registry != nullptr;
  const bool names_himself = !request.certificate.empty() || request.has_user_name;
  if (request.user_name.size() > kNameMax)
    return done(refusal_of(Reason::bad_user_name_or_password, "user name above 256 bytes"));
  if (by_registry && names_himself && !options_.registry->loaded())
    return done(refusal_of(Reason::server_unavailable, "the registry is not read yet"));
  if (!request.certificate.empty()) return check_certificate(request, done);
  if (!request.has_user_name)
    return done(nobody_asks(request) ? session::AuthResult{}
                                     : refusal_of(Reason::not_authorized, kAnonymous));
  if (!by_registry && !options_.passwords) {
    return done(nobody_asks(request)
                    ? session::AuthResult{}
                    : refusal_of(Reason::bad_user_name_or_password,
                                 "no password file and no registry is configured"));
  }
  if (request.password.size() > kPasswordMax)
    return done(refusal_of(Reason::bad_user_name_or_password, "password above 1,024 bytes"));
  Plan p = plan(request);
  follow(std::move(p), std::make_shared<const session::AuthRequest>(std::move(request)), done,
         conn);
}

void Authenticator::follow(Plan plan, Request request, const Done& done, base::ConnId conn) {
  const bool hashes = plan.what == Plan::Do::hash || plan.what == Plan::Do::pretend;
  const std::uint64_t tenant = tenant_of(*request);
  if (hashes && !hasher_.has_room(tenant, request->address))
    return done(refusal_of(Reason::server_busy, kBusy));
  if (!throttle_.may_try(request->address, request->user_name, login_time())) {
    const auto full = throttle_.why_not(request->address, request->user_name, login_time());
    auto r = refusal_of(Reason::connection_rate_exceeded,
                        std::string("too many failed log-ins: auth.") + full.limit);
    r.limit = full.limit;
    r.retry_after_ms = full.wait_ms;
    return done(std::move(r));
  }
  if (plan.what == Plan::Do::refuse) return refuse(*request, plan.why, done);
  if (plan.what == Plan::Do::admit) return admit(*request, plan.login, done);
  LoginHasher::Job job{
      .conn = conn, .tenant = tenant, .from = request->address, .work = {}, .done = {}};
  if (plan.what == Plan::Do::pretend) {
    job.work = [request, iterations = plan.iterations] {
      registry::PasswordHash::pretend(request->password, iterations);
      return false;
    };
  } else {
    job.work = [request, stored = plan.stored] {
      std::string why;
      const auto hash = registry::PasswordHash::parse(stored, why);
      return hash && hash->verify(request->password);
    };
  }
  job.done = [this, plan = std::move(plan), request, done](LoginHasher::Outcome outcome) {
    answer(plan, *request, outcome, done);
  };
  hasher_.add(std::move(job));
}

// On the caller's thread again.
void Authenticator::answer(const Plan& plan, const session::AuthRequest& request,
                           LoginHasher::Outcome outcome, const Done& done) {
  if (outcome == LoginHasher::Outcome::busy) {
    throttle_.not_tried(request.address, request.user_name);
    return done(refusal_of(Reason::server_busy, kBusy));
  }
  if (outcome == LoginHasher::Outcome::bad) {
    const bool known = plan.what != Plan::Do::pretend;
    const bool shows_proof = request.password.empty() && !request.proof.empty();
    return refuse(request,
                  !known        ? plan.why
                  : shows_proof ? "a proof was shown, its credential is a password"
                                : "wrong password",
                  done);
  }
  if (!plan.login) {  // the file may have been replaced meanwhile
    const std::string* now = options_.passwords->stored(request.user_name);
    if (now == nullptr || *now != plan.stored)
      return refuse(request, "the password file has changed meanwhile", done);
  }
  verified_.remember(request.user_name, plan.stored, request.password);
  std::optional<Login> login =
      plan.login;  // whether he may come in is asked now: hashing took time
  if (login && login->scope) login->scope = options_.registry->scope_of(login->scope->who());
  admit(request, login, done);
}

Authenticator::Plan Authenticator::plan(const session::AuthRequest& request) const {
  Plan p;
  if (options_.registry != nullptr) p.login = options_.registry->find_login(request.user_name);
  if (p.login) {
    const registry::pb::Credential& c = p.login->credential;
    if (const char* fault = time_fault(c); *fault != 0) return refusal(request, fault);
    if (c.type() == "hmac") {
      if (std::string fault = key_fault(request, c); !fault.empty())
        return refusal(request, std::move(fault));
      p.what = Plan::Do::admit;
      return p;
    }
    p.stored = c.password_hash();
  } else {
    const std::string* s =
        options_.passwords ? options_.passwords->stored(request.user_name) : nullptr;
    if (s == nullptr) return refusal(request, "unknown user name");
    p.stored = *s;
  }
  const bool known = verified_.knows(request.user_name, p.stored, request.password);
  p.what = known ? Plan::Do::admit : Plan::Do::hash;
  return p;
}

Authenticator::Plan Authenticator::refusal(const session::AuthRequest& request,
                                           std::string why) const {
  static const registry::HashCosts kNone;
  const registry::HashCosts& file = options_.passwords ? options_.passwords->costs() : kNone;
  const registry::HashCosts& known =
      options_.registry != nullptr ? options_.registry->hash_costs() : kNone;
  Plan p;
  p.why = std::move(why);
  const std::size_t all = file.total() + known.total();
  if (all == 0) return p;
  const std::uint64_t number = base::siphash(key_, request.user_name);
  p.what = Plan::Do::pretend;
  p.iterations = number % all < file.total() ? file.pick(number / all) : known.pick(number / all);
  return p;
}

std::uint64_t Authenticator::tenant_of(const session::AuthRequest& request) const {
  if (options_.registry == nullptr) return 0;
  const std::string_view tenant = options_.registry->tenant_of(request.user_name);
  return tenant.empty() ? 0 : base::siphash(key_, tenant) | 1;
}

// Its chain has been checked at the edge; with a registry it must be known too.
void Authenticator::check_certificate(const session::AuthRequest& request, const Done& done) {
  if (options_.registry == nullptr) return done({Reason::success, {}, true});
  const auto login = options_.registry->find_certificate(request.certificate, request.authorities);
  const bool park = !request.nonce.empty();  // whose protocol has one code for all of these
  const char* fault = login ? time_fault(login->credential) : "its certificate is not registered";
  if (*fault != 0)
    return done(
        refusal_of(park ? Reason::bad_user_name_or_password : Reason::not_authorized, fault));
  if (!login->scope)
    return done(refusal_of(Reason::banned, options_.registry->why_ended(login->who)));
  done({Reason::success, login->scope, false,
        registry::credential_use(registry::credential_id(login->credential), request.authorities)});
}

// By the gateway's challenge (HELLO of the Park protocol), or by the time, in seconds since 1970 by
// the device's clock:
//   password := "v2:" seconds ':' HEX(name ':' seconds ':' client_id)
//   name := auth_id '@' tenant | the user name as it was sent: without '@', of the default tenant
//   password := seconds ':' HEX(auth_id ':' seconds)       for any client id: may be switched off
//   HEX(text) := hex of HMAC-SHA256(key, text)
// Empty: it proves the key; else what is wrong, for the log.
std::string Authenticator::key_fault(const session::AuthRequest& request,
                                     const registry::pb::Credential& c) const {
  static constexpr const char* kNoProof =
      "its credential is a key, the password is no proof of it (v2:SECONDS:HMAC)";
  const auto same = [](std::string_view got, std::string_view wanted) {
    return got.size() == wanted.size() &&
           CRYPTO_memcmp(got.data(), wanted.data(), wanted.size()) == 0;
  };
  const std::string key = registry::decode_base64(c.key());
  if (!request.nonce.empty()) {
    if (request.proof.empty())
      return request.password.empty() ? "HELLO has no proof of its key"
                                      : "a password was shown, its credential is a key";
    const bool good =
        same(request.proof,
             protocol::park::proof_of(key, request.nonce, request.user_name, request.client_id));
    return good ? "" : "wrong proof of its key";
  }
  std::string_view password = request.password;
  const bool bound = password.starts_with(kBound);
  if (bound) password.remove_prefix(kBound.size());
  const std::size_t colon = password.find(':');
  if (colon == std::string_view::npos) return kNoProof;
  std::int64_t seconds = 0;
  const auto r = std::from_chars(password.data(), password.data() + colon, seconds);
  if (r.ec != std::errc{} || r.ptr != password.data() + colon) return kNoProof;
  if (!bound && !options_.unbound_proofs)
    return "a proof that names no client id: auth.unbound_proofs is off";
  const std::int64_t now_s = base::wall_time().ms / 1000;
  if (seconds < now_s - kClockSkew_s || seconds > now_s + kClockSkew_s) {
    const auto skew_s = static_cast<std::int64_t>(static_cast<std::uint64_t>(seconds) -
                                                  static_cast<std::uint64_t>(now_s));
    return "the device's clock is " + std::to_string(skew_s) + " s off, " +
           std::to_string(kClockSkew_s) + " s are allowed";
  }
  const std::string said(password.substr(0, colon));
  const auto proves = [&](const std::string& text) {
    return same(password.substr(colon + 1), hex_hmac(key, text));
  };
  const std::string full =
      c.auth_id() + "@" + std::string(options_.registry->tenant_of(request.user_name));
  const std::string rest = ":" + said + ":" + request.client_id;
  const bool good = !bound ? proves(c.auth_id() + ":" + said)
                           : proves(full + rest) || proves(request.user_name + rest);
  return good ? "" : "wrong proof of its key";
}

// He is who he says.
void Authenticator::admit(const session::AuthRequest& request, const std::optional<Login>& login,
                          const Done& done) {
  throttle_.succeeded(request.address, request.user_name, login_time());
  if (!login) return done({Reason::success, {}, true});  // of the password file
  if (!login->scope)
    return done(refusal_of(Reason::banned, options_.registry->why_ended(login->who)));
  done({Reason::success, login->scope, false, registry::credential_id(login->credential)});
}

void Authenticator::refuse(const session::AuthRequest& request, const std::string& why,
                           const Done& done) {
  throttle_.failed(request.address, request.user_name, login_time());
  done(refusal_of(Reason::bad_user_name_or_password, why));
}

}  // namespace berth::gateway::engine
