#include "gateway/rest/accounts.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>
#include <stdexcept>

#include "base/wall_clock.h"
#include "gateway/admin/problem.h"
#include "gateway/registry/password_hash.h"
#include "platform/platform.pb.h"

namespace berth::gateway::registry {

namespace asio = boost::asio;
namespace codes = admin::codes;
using admin::ClaimAnswer;

namespace {

constexpr std::size_t kSecretMax = 1024;
constexpr std::uint32_t kNonceWithin_ms = 4000;  // less than an edge waits for the whole answer
constexpr const char* kWrong = "unknown account, or wrong key or signature";

ClaimAnswer refused(const admin::ErrorCode& code, std::string why, const char* detail = kWrong) {
  ClaimAnswer a;
  a.refusal = admin::problem(code, detail);
  a.why = std::move(why);
  return a;
}

ClaimAnswer wait_for(const admin::ErrorCode& code, std::string why, std::int64_t seconds) {
  ClaimAnswer a;
  a.refusal = admin::problem(code, why);
  a.refusal.headers["Retry-After"] = std::to_string(seconds);
  a.why = std::move(why);
  return a;
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// What stands behind `scheme` and a space; nothing: it is another one.
std::optional<std::string_view> behind(std::string_view header, std::string_view scheme) {
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ') return std::nullopt;
  if (admin::lower_case(std::string(header.substr(0, scheme.size()))) !=
      admin::lower_case(std::string(scheme)))
    return std::nullopt;
  const std::size_t at = header.find_first_not_of(' ', scheme.size());
  return at == std::string_view::npos ? std::string_view() : header.substr(at);
}

// Of the peer's address as text; one that is none counts as one address.
base::Address address_of(const std::string& text) {
  in_addr four{};
  in6_addr six{};
  if (::inet_pton(AF_INET, text.c_str(), &four) == 1) return base::Address::v4(&four);
  if (::inet_pton(AF_INET6, text.c_str(), &six) == 1) return base::Address::v6(&six);
  return {};
}

// By AUTH_ID@TENANT: an account may have several names, and each its own secrets.
bool is_named(const pb::Credential& c, std::string_view name) {
  return c.auth_id() == name.substr(0, name.rfind('@'));
}

bool verifies(const std::string& stored, const std::string& secret) {
  std::string why;
  const auto hash = PasswordHash::parse(stored, why);
  return hash && hash->verify(secret);
}

base::SipKey random_key() {
  base::SipKey key;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&key), sizeof key) != 1)
    throw std::runtime_error("OpenSSL has no random bytes");
  return key;
}

}  // namespace

// A bearer key that has to be hashed, and who waits for the answer.
struct ApiAccounts::Bearer {
  Attempt attempt;  // its name: AUTH_ID@TENANT
  std::string secret;
  std::vector<std::string> stored;  // to be tried
  int pretend = 0;                  // iterations, when there is none
  bool session = false;             // of the console: a wrong one is no attempt
  std::vector<Done> done;
};

ApiAccounts::ApiAccounts(asio::io_context& io, const Registry& registry, Throttle throttle,
                         AskEngine ask_engine, Clock clock)
    : io_(io),
      registry_(registry),
      ask_engine_(std::move(ask_engine)),
      clock_(std::move(clock)),
      secret_(32, '\0'),
      key_(random_key()),
      throttle_(throttle) {
  if (RAND_bytes(reinterpret_cast<unsigned char*>(secret_.data()),
                 static_cast<int>(secret_.size())) != 1)
    throw std::runtime_error("OpenSSL has no random bytes");
}

ApiAccounts::ApiAccounts(asio::io_context& io, const Registry& registry, Throttle throttle,
                         AskEngine ask_engine)
    : ApiAccounts(io, registry, throttle, std::move(ask_engine),
                  Clock{[] { return base::wall_time().ms / 1000; },
                        [] { return engine::login_time().ms / 1000; }}) {}

ApiAccounts::~ApiAccounts() {
  if (pool_) pool_->stop();
}

namespace {

asio::awaitable<ClaimAnswer> ask(admin::HomeLoop home, ApiAccounts* accounts, admin::Claim claim) {
  auto shared = std::make_shared<admin::Claim>(std::move(claim));  // std::function must copy
  std::function<void(admin::HomeLoop::Done<ClaimAnswer>)> start =
      [accounts, shared](admin::HomeLoop::Done<ClaimAnswer> done) {
        accounts->decide(std::move(*shared), std::move(done));
      };
  std::optional<ClaimAnswer> a = co_await home.ask<ClaimAnswer>(std::move(start));
  if (a) co_return std::move(*a);
  co_return refused(codes::kUnavailable, "the gateway's loop does not answer", "no answer in time");
}

}  // namespace

admin::AccountCheck ApiAccounts::check(admin::HomeLoop home) {
  return [this, home](admin::Claim claim) { return ask(home, this, std::move(claim)); };
}

std::optional<ApiAccounts::Account> ApiAccounts::account_of(const std::string& client_id) const {
  if (client_id.find('@') == std::string::npos) return std::nullopt;
  const auto login = registry_.find_login(client_id);
  if (!login || login->who.role == session::Role::device) return std::nullopt;
  const std::string* stored =
      registry_.find(key_of(Kind::account, login->who.tenant, login->who.name));
  Account a;
  a.tenant = login->who.tenant;
  a.enabled = login->scope != nullptr;
  if (stored == nullptr || !a.record.ParseFromString(*stored)) return std::nullopt;
  return a;
}

void ApiAccounts::decide(admin::Claim claim, Done done) {
  if (!registry_.loaded())
    return done(wait_for(codes::kUnavailable, "the registry has not been read yet", 1));
  if (const auto text = behind(claim.authorization, kSignedScheme))
    return decide_signed(claim, *text, done);
  const auto key = behind(claim.authorization, "Bearer");
  const bool an_account = key && key->find('@') < key->find(':') && key->size() <= kSecretMax;
  if (!an_account || key->find(':') == std::string_view::npos)
    return done(refused(codes::kUnauthorized, "no token, key or signature",
                        "wrong token; the log says which file has the right one; the key of an "
                        "account is AUTH_ID@TENANT:PASSWORD"));
  decide_bearer(claim, *key, std::move(done));
}

std::optional<ClaimAnswer> ApiAccounts::throttled(const Attempt& a) {
  const base::Instant now = steady_now();
  if (throttle_.may_try(a.from, a.name, now)) return std::nullopt;
  const auto full = throttle_.why_not(a.from, a.name, now);
  const std::int64_t wait_s = std::max<std::int64_t>(1, (full.wait_ms + 999) / 1000);
  return wait_for(codes::kTooManyRequests,
                  std::string("too many failed attempts: auth.") + full.limit, wait_s);
}

// Bearer ACCOUNT@TENANT:SECRET
void ApiAccounts::decide_bearer(const admin::Claim& claim, std::string_view key, Done done) {
  const std::size_t colon = key.find(':', key.find('@'));
  auto asked = std::make_shared<Bearer>();  // of the pool's work
  asked->attempt = {address_of(claim.address), std::string(key.substr(0, colon))};
  asked->secret = key.substr(colon + 1);
  asked->session = claim.session;
  const std::string& name = asked->attempt.name;
  const Digest same_again = digest_of(name, claim.address, asked->secret);
  if (const auto it = hashing_.find(same_again); it != hashing_.end()) {
    it->second->done.push_back(std::move(done));
    return;
  }
  if (auto no = throttled(asked->attempt)) return done(std::move(*no));
  const auto a = account_of(name);
  const base::Instant now{clock_.wall_s() * 1000};
  const pb::Account nobody;
  for (const pb::Credential& c : a ? a->record.credentials() : nobody.credentials()) {
    if (c.type() != "password" || !in_time(c, now) || !is_named(c, name)) continue;
    if (asked->stored.size() < kTriedMost) asked->stored.push_back(c.password_hash());
    if (!knows(digest_of(name, c.password_hash(), asked->secret))) continue;
    throttle_.succeeded(asked->attempt.from, name, steady_now());
    return done(admit(name, *a));
  }
  const auto of_address = std::count_if(hashing_.begin(), hashing_.end(), [&](const auto& h) {
    return h.second->attempt.from == asked->attempt.from;
  });
  if (hashing_.size() >= kHashesMost || of_address >= kHashesOfAddress) {
    throttle_.not_tried(asked->attempt.from, name);
    return done(wait_for(codes::kBusy, "too many keys are checked", 1));
  }
  if (asked->stored.empty() && registry_.hash_costs().total() != 0)
    asked->pretend = registry_.hash_costs().pick(base::siphash(key_, name));
  asked->done.push_back(std::move(done));
  hashing_.emplace(same_again, asked);
  hash(same_again, std::move(asked));
}

// A name that nobody has is refused after as long a time as a wrong key.
void ApiAccounts::hash(const Digest& at, std::shared_ptr<Bearer> asked) {
  if (!pool_) pool_.emplace(1);
  asio::post(*pool_, [this, at, asked, alive = std::weak_ptr<bool>(alive_)] {
    std::string good;
    if (asked->stored.empty()) PasswordHash::pretend(asked->secret, asked->pretend);
    for (const std::string& stored : asked->stored) {
      if (good.empty() && verifies(stored, asked->secret)) good = stored;
    }
    asio::post(io_, [this, at, asked, good, alive] {
      if (alive.expired()) return;
      hashing_.erase(at);
      const ClaimAnswer answer = verdict(*asked, good);
      for (const Done& done : asked->done) done(answer);
    });
  });
}

// The record may have changed meanwhile.
ClaimAnswer ApiAccounts::verdict(const Bearer& asked, const std::string& good) {
  const Attempt& who = asked.attempt;
  const auto a = good.empty() ? std::nullopt : account_of(who.name);
  const auto has = [&](const pb::Credential& c) { return c.password_hash() == good; };
  const bool still =
      a && std::any_of(a->record.credentials().begin(), a->record.credentials().end(), has);
  if (!still) {
    if (asked.session) {
      throttle_.not_tried(who.from, who.name);
    } else {
      throttle_.failed(who.from, who.name, steady_now());
    }
    return refused(codes::kUnauthorized, "account=" + who.name + ": unknown or wrong key");
  }
  remember(digest_of(who.name, good, asked.secret));
  throttle_.succeeded(who.from, who.name, steady_now());
  return admit(who.name, *a);
}

// By any key of the account that is valid now. A name that nobody has costs a signature too.
bool ApiAccounts::is_signed(const Signed& s, const admin::Claim& claim,
                            const std::optional<Account>& a) const {
  const base::Instant now{clock_.wall_s() * 1000};
  const auto fits = [&](const std::string& key) {
    return same(s.signature, signature_of(s, claim.method, claim.target, key));
  };
  bool good = false;
  std::size_t tried = 0;
  const pb::Account nobody;
  for (const pb::Credential& c : a ? a->record.credentials() : nobody.credentials()) {
    if (c.type() != "hmac" || !in_time(c, now) || ++tried > kTriedMost) continue;
    good = fits(decode_base64(c.key())) || good;
  }
  if (tried == 0) (void)fits(secret_);
  return good;
}

void ApiAccounts::decide_signed(const admin::Claim& claim, std::string_view text,
                                const Done& done) {
  std::string why;
  const auto s = parse_signed(text, why);
  if (!s) return done(refused(codes::kUnauthorized, why, why.c_str()));
  if (claim.again) return done(still_signed(*s, claim));
  const std::int64_t skew_s = s->seconds - clock_.wall_s();
  if (skew_s < -kSkew_s || skew_s > kSkew_s) {
    why = "timestamp: " + std::to_string(skew_s) + " s off, " + std::to_string(kSkew_s) +
          " s are allowed";
    return done(refused(codes::kUnauthorized, why, why.c_str()));
  }
  const Attempt who{address_of(claim.address), s->client_id};
  if (auto no = throttled(who)) return done(std::move(*no));
  const auto a = account_of(s->client_id);
  if (!is_signed(*s, claim, a)) {
    throttle_.failed(who.from, who.name, steady_now());
    return done(
        refused(codes::kUnauthorized, "account=" + s->client_id + ": unknown or wrong signature"));
  }
  throttle_.succeeded(who.from, who.name, steady_now());
  take_nonce(*s, *a, done);
}

// It was let in before, once: by a key that the account may have lost since.
ClaimAnswer ApiAccounts::still_signed(const Signed& s, const admin::Claim& claim) const {
  const auto a = account_of(s.client_id);
  if (!is_signed(s, claim, a))
    return refused(codes::kUnauthorized, "account=" + s.client_id + ": its key is gone");
  return admit(s.client_id, *a);
}

void ApiAccounts::take_nonce(const Signed& s, const Account& a, Done done) {
  platform::pb::NonceQuestion q;
  q.set_account(a.record.name() + "@" + a.tenant);
  q.set_nonce(s.nonce);
  q.set_timestamp_s(s.seconds);
  ask_engine_({protocol::link::AskKind::take_nonce, kNonceWithin_ms, q.SerializeAsString()},
              [this, alive = std::weak_ptr<bool>(alive_), s,
               done = std::move(done)](const link::Answer& said) {
                if (!alive.expired()) done(verdict(s, said));
              });
}

ClaimAnswer ApiAccounts::verdict(const Signed& s, const link::Answer& said) const {
  using platform::pb::NonceAnswer;
  NonceAnswer a;
  if (said.error != protocol::link::AskError::none || !a.ParseFromString(said.bytes))
    return wait_for(codes::kUnavailable,
                    std::string("the engine of partition 0, which knows the signed requests that "
                                "were let in, does not answer here: ask an edge, or use a bearer "
                                "key: ") +
                        protocol::link::name_of(said.error),
                    1);
  if (a.verdict() == NonceAnswer::AGAIN)
    return refused(codes::kUnauthorized, "account=" + s.client_id + ": nonce used twice",
                   "nonce: it has been used; take another one for each request");
  if (a.verdict() == NonceAnswer::TOO_OLD)
    return wait_for(
        codes::kSignAgain,
        "an engine has begun after this was signed, and can't know whether it was let "
        "in before: sign it again, with the time and a nonce of then",
        std::clamp<std::int64_t>(a.signed_after_s() + 1 - clock_.wall_s(), 1, 2 * kSkew_s));
  if (a.verdict() != NonceAnswer::FRESH)
    return wait_for(codes::kTooManyRequests, "too many signed requests in 600 s", 10);
  const auto account = account_of(s.client_id);  // as it is now
  if (!account) return refused(codes::kUnauthorized, "account=" + s.client_id + ": removed");
  ClaimAnswer answer = admit(s.client_id, *account);
  answer.body_sha256 = s.body;
  return answer;
}

ClaimAnswer ApiAccounts::admit(const std::string& client_id, const Account& a) const {
  const auto may = [&](const char* right) {
    const auto& all = a.record.api();
    return std::find(all.begin(), all.end(), right) != all.end();
  };
  if (!a.enabled)
    return refused(codes::kForbidden, client_id + " is disabled", "the account is disabled");
  if (a.record.api().empty())
    return refused(codes::kForbidden, client_id + " has no right of the API",
                   "the account has no right of the API: its field api");
  const bool service = a.record.role() != "operator";
  ClaimAnswer answer;
  answer.caller =
      admin::Caller{.kind = service ? admin::Caller::Kind::service : admin::Caller::Kind::operator_,
                    .id = a.record.name() + "@" + a.tenant,
                    .tenant = a.tenant,
                    .sites = {a.record.sites().begin(), a.record.sites().end()},
                    .may_read = may("read") || may("change"),
                    .may_change = service && may("change"),
                    .may_command = service && may("command"),
                    .may_see_plates = may("plates")};
  return answer;
}

ApiAccounts::Digest ApiAccounts::digest_of(const std::string& client_id, const std::string& what,
                                           const std::string& secret) const {
  std::string text = client_id;
  text.append(1, '\0').append(what).append(1, '\0').append(secret);
  Digest d{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret_.data(), static_cast<int>(secret_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), d.data(), &size);
  OPENSSL_cleanse(text.data(), text.size());
  return d;
}

bool ApiAccounts::knows(const Digest& d) const {
  std::uint64_t at = 0;
  std::memcpy(&at, d.data(), sizeof at);
  const auto it = known_.find(at);
  return it != known_.end() && CRYPTO_memcmp(it->second.data(), d.data(), d.size()) == 0;
}

void ApiAccounts::remember(const Digest& d) {
  std::uint64_t at = 0;
  std::memcpy(&at, d.data(), sizeof at);
  if (!known_.insert_or_assign(at, d).second) return;
  order_.push_back(at);
  if (order_.size() <= kKnownMost) return;
  known_.erase(order_.front());
  order_.pop_front();
}

}  // namespace berth::gateway::registry
