#include "gateway/engine/authenticator.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <charconv>

#include "base/text.h"
#include "protocol/park/control.h"

namespace berth::gateway::engine {

using protocol::mqtt::Reason;

namespace {

constexpr std::size_t kJobsMax = 20'000;
constexpr std::int64_t kClockSkew_s = 300;  // of a device that logs in with a key

std::string hex_hmac(std::string_view key, std::string_view text) {
  unsigned char d[32];
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), d, &size);
  return base::to_hex({reinterpret_cast<const char*>(d), size});
}

}  // namespace

Authenticator::Authenticator(Options options, Poster post)
    : options_(std::move(options)), post_(std::move(post)), throttle_(options_.throttle) {
  if (options_.passwords) use_passwords(std::move(*options_.passwords));
  if (passwords_ || options_.registry != nullptr) thread_ = std::thread([this] { work(); });
}

Authenticator::~Authenticator() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ready_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Authenticator::use_passwords(PasswordFile file) {
  passwords_ = std::make_shared<const PasswordFile>(std::move(file));
}

void Authenticator::check(session::AuthRequest request, Done done) {
  const bool by_registry = options_.registry != nullptr;
  const bool names_himself = !request.certificate.empty() || request.has_user_name;
  if (by_registry && names_himself && !options_.registry->loaded())
    return done({Reason::server_unavailable, {}});
  if (!request.certificate.empty()) return check_certificate(request, done);
  const bool nobody = options_.anonymous == Anonymous::always ||
                      (options_.anonymous == Anonymous::loopback && request.loopback);
  if (!request.has_user_name) return done({nobody ? Reason::success : Reason::not_authorized, {}});
  if (!by_registry && !passwords_)
    return done({nobody ? Reason::success : Reason::bad_user_name_or_password, {}});
  auto login = by_registry ? options_.registry->find_login(request.user_name) : std::nullopt;
  const bool must_hash = login ? needs_hash(request, *login) : passwords_ != nullptr;
  if (must_hash && !has_room()) return done({Reason::server_busy, {}});
  if (!throttle_.may_try(request.address, request.user_name, base::now()))
    return done({Reason::connection_rate_exceeded, {}});
  if (login && !registry::in_time(login->credential, base::now())) return refuse(request, done);
  if (must_hash) return hash_later({std::move(request), std::move(done), std::move(login)});
  if (!login) return refuse(request, done);
  const bool by_key = login->credential.type() == "hmac";
  return by_key && !proves_key(request, login->credential) ? refuse(request, done)
                                                           : admit(request, *login, done);
}

// False: it is a key's, or this password has been good before.
bool Authenticator::needs_hash(const session::AuthRequest& request, const Login& login) const {
  const registry::pb::Credential& c = login.credential;
  return c.type() == "password" &&
         !verified_.knows(request.user_name, c.password_hash(), request.password);
}

// Its chain has been checked at the edge; with a registry it must be known too.
void Authenticator::check_certificate(const session::AuthRequest& request, const Done& done) {
  if (options_.registry == nullptr) return done({Reason::success, {}, true});
  const auto login = options_.registry->find_certificate(request.certificate);
  const bool park = !request.nonce.empty();  // whose protocol has one code for all of these
  if (!login || !registry::in_time(login->credential, base::now()))
    return done({park ? Reason::bad_user_name_or_password : Reason::not_authorized, {}});
  admit(request, *login, done);
}

// By the gateway's challenge (HELLO of the Park protocol), or by the time:
// password := seconds ':' hex of HMAC-SHA256(key, auth_id ':' seconds), seconds since 1970 by the
// device's clock.
bool Authenticator::proves_key(const session::AuthRequest& request,
                               const registry::pb::Credential& c) const {
  if (!request.nonce.empty()) {
    const std::string wanted = protocol::park::proof_of(
        registry::decode_base64(c.key()), request.nonce, request.user_name, request.client_id);
    return request.proof.size() == wanted.size() &&
           CRYPTO_memcmp(request.proof.data(), wanted.data(), wanted.size()) == 0;
  }
  const std::string_view password = request.password;
  const std::size_t colon = password.find(':');
  if (colon == std::string_view::npos) return false;
  std::int64_t seconds = 0;
  const auto r = std::from_chars(password.data(), password.data() + colon, seconds);
  if (r.ec != std::errc{} || r.ptr != password.data() + colon) return false;
  const std::int64_t now_s = base::now().ms / 1000;
  if (seconds < now_s - kClockSkew_s || seconds > now_s + kClockSkew_s) return false;
  const std::string wanted = hex_hmac(registry::decode_base64(c.key()),
                                      c.auth_id() + ":" + std::string(password.substr(0, colon)));
  const std::string_view got = password.substr(colon + 1);
  return got.size() == wanted.size() &&
         CRYPTO_memcmp(got.data(), wanted.data(), wanted.size()) == 0;
}

bool Authenticator::has_room() {
  const std::lock_guard lock(mutex_);
  return jobs_.size() < kJobsMax;
}

void Authenticator::hash_later(Job job) {
  const std::lock_guard lock(mutex_);
  job.file = passwords_;
  jobs_.push_back(std::move(job));
  ready_.notify_one();
}

void Authenticator::work() {
  for (;;) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (stopping_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    const bool good = good_password(job);
    post_([this, alive = std::weak_ptr<bool>(alive_), job = std::move(job), good] {
      if (!alive.expired()) answer(job, good);
    });
  }
}

bool Authenticator::good_password(const Job& job) const {
  if (!job.login) return job.file->verify(job.request.user_name, job.request.password);
  std::string why;
  const auto hash = registry::PasswordHash::parse(job.login->credential.password_hash(), why);
  return hash && hash->verify(job.request.password);
}

// On the caller's thread again.
void Authenticator::answer(const Job& job, bool good) {
  if (!good) return refuse(job.request, job.done);
  if (job.login) {
    verified_.remember(job.request.user_name, job.login->credential.password_hash(),
                       job.request.password);
    Login login = *job.login;  // whether he may come in is asked now: hashing took its time
    if (login.scope) login.scope = options_.registry->scope_of(login.scope->who());
    return admit(job.request, login, job.done);
  }
  throttle_.succeeded(job.request.address, job.request.user_name);
  job.done({Reason::success, {}, true});
}

// He is who he says.
void Authenticator::admit(const session::AuthRequest& request, const Login& login,
                          const Done& done) {
  throttle_.succeeded(request.address, request.user_name);
  if (!login.scope) return done({Reason::banned, {}});
  done({Reason::success, login.scope, false, registry::credential_id(login.credential)});
}

void Authenticator::refuse(const session::AuthRequest& request, const Done& done) {
  throttle_.failed(request.address, request.user_name, base::now());
  done({Reason::bad_user_name_or_password, {}});
}

}  // namespace berth::gateway::engine
