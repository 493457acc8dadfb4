#include "gateway/edge/client_trust.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>

#include "base/wall_clock.h"
#include "gateway/edge/tls_server.h"
#include "gateway/runtime/certificates.h"
#include "gateway/runtime/pem.h"

namespace berth::gateway::edge {
namespace {

constexpr char kFacts = 1;                      // the layout of a ticket's facts
constexpr std::size_t kFixed = 1 + 8 + 8 + 32;  // it, two times, the digest
constexpr std::int64_t kSkew_s = 300;           // between the clocks of two edges

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* t) const { Free(t); }
};
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Revocations = std::unique_ptr<X509_CRL, Freed<X509_CRL, X509_CRL_free>>;

[[noreturn]] void fail(const std::string& file) {
  throw std::runtime_error(file + ": " + runtime::tls_error());
}

int no_passphrase(char*, int, int, void*) {
  return -1;
}

// After the last of a file; what else has ended the reading is an error.
void expect_end(const std::string& file, std::size_t read) {
  if (read == 0 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) fail(file);
  ERR_clear_error();
}

template <class T>
std::string der_of(const T* what, int (*encode)(const T*, unsigned char**)) {
  unsigned char* bytes = nullptr;
  const int n = encode(what, &bytes);
  if (n <= 0) return {};
  std::string out(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
  OPENSSL_free(bytes);
  return out;
}

std::string sha256(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return {reinterpret_cast<const char*>(digest), sizeof digest};
}

void put_time(std::string& out, std::int64_t s) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(s >> (8 * i)));
}
std::int64_t get_time(std::string_view in) {
  std::uint64_t s = 0;
  for (int i = 0; i < 8; ++i)
    s |= std::uint64_t{static_cast<unsigned char>(in[static_cast<std::size_t>(i)])} << (8 * i);
  return static_cast<std::int64_t>(s);
}

std::string_view facts_in(const SSL_SESSION* session) {
  void* data = nullptr;
  std::size_t size = 0;
  if (session == nullptr ||
      SSL_SESSION_get0_ticket_appdata(const_cast<SSL_SESSION*>(session), &data, &size) != 1)
    return {};
  const std::string_view facts(static_cast<const char*>(data), size);
  return size >= kFixed && facts[0] == kFacts ? facts : std::string_view();
}

std::string keys_of(const STACK_OF(X509) * chain) {
  std::string out;
  const int n = sk_X509_num(chain);  // -1: no chain
  for (int i = n > 1 ? 1 : 0; i < n && out.size() < kAuthoritiesMax * 32; ++i)
    out +=
        sha256(der_of<X509_PUBKEY>(X509_get_X509_PUBKEY(sk_X509_value(chain, i)), i2d_X509_PUBKEY));
  return out;
}

// No list of an authority above the one that signed the device's certificate is no fault; of that
// one it is.
int on_verified(int good, X509_STORE_CTX* ctx) {
  if (good == 1 || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNABLE_TO_GET_CRL ||
      X509_STORE_CTX_get_error_depth(ctx) == 0)
    return good;
  X509_STORE_CTX_set_error(ctx, X509_V_OK);
  return 1;
}

int on_make_ticket(SSL* tls, void*) {
  const ClientTrust* trust = ClientTrust::of(tls);
  SSL_SESSION* session = SSL_get_session(tls);
  if (trust == nullptr || session == nullptr) return 0;
  if (SSL_session_reused(tls) != 0 && !facts_in(session).empty()) return 1;  // they go on
  const std::string facts = trust->facts_of(tls);
  return SSL_SESSION_set1_ticket_appdata(session, facts.data(), facts.size());
}

SSL_TICKET_RETURN on_ticket(SSL* tls, SSL_SESSION* session, const unsigned char*, std::size_t,
                            SSL_TICKET_STATUS status, void*) {
  const bool readable = status == SSL_TICKET_SUCCESS || status == SSL_TICKET_SUCCESS_RENEW;
  const ClientTrust* trust = ClientTrust::of(tls);
  if (!readable || trust == nullptr || !trust->holds(session))
    return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

int slot() {
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* trust, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<ClientTrust*>(trust);
      });
  return index;
}

int slot_of_end() {  // of an SSL: when the first certificate of its chain ends, Unix time
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}
int slot_of_digest() {  // of an SSL: the beginning of the digest it has been looked at with
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::int64_t end_of_chain(const STACK_OF(X509) * chain) {
  std::int64_t ends = ClientTrust::kNever;
  for (int i = 0; i < sk_X509_num(chain); ++i)
    ends = std::min(ends, runtime::expiry_of(sk_X509_value(chain, i)));
  return ends;
}

std::int64_t end_of(SSL* tls) {
  if (void* known = SSL_get_ex_data(tls, slot_of_end()))
    return reinterpret_cast<std::intptr_t>(known);
  std::int64_t ends = ClientTrust::kNever;
  if (const STACK_OF(X509)* chain = SSL_get0_verified_chain(tls)) {
    ends = end_of_chain(chain);
  } else if (const std::string_view facts = facts_in(SSL_get0_session(tls)); !facts.empty()) {
    ends = get_time(facts.substr(9));  // resumed
  }
  SSL_set_ex_data(tls, slot_of_end(), reinterpret_cast<void*>(static_cast<std::intptr_t>(ends)));
  return ends;
}

// Never 0.
void* word_of(const std::string& digest) {
  return reinterpret_cast<void*>(static_cast<std::intptr_t>(get_time(digest) | 1));
}

int on_looked_at_again(int good, X509_STORE_CTX* ctx) {
  const int error = X509_STORE_CTX_get_error(ctx);
  if (good == 1 || (error != X509_V_ERR_CRL_HAS_EXPIRED && error != X509_V_ERR_CRL_NOT_YET_VALID))
    return on_verified(good, ctx);
  X509_STORE_CTX_set_error(ctx, X509_V_OK);
  return 1;
}

bool verifies(SSL* tls, SSL_CTX* own) {
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> ctx(X509_STORE_CTX_new(),
                                                                            X509_STORE_CTX_free);
  STACK_OF(X509)* others = SSL_get_peer_cert_chain(tls);  // null: resumed
  if (ctx == nullptr || X509_STORE_CTX_init(ctx.get(), SSL_CTX_get_cert_store(own),
                                            SSL_get0_peer_certificate(tls), others) != 1)
    return true;  // no memory: at another time
  X509_STORE_CTX_set_default(ctx.get(), "ssl_client");
  X509_STORE_CTX_set_verify_cb(ctx.get(), on_looked_at_again);
  const bool good = X509_verify_cert(ctx.get()) == 1;
  ERR_clear_error();
  return good;
}

}  // namespace

bool ClientTrust::still_holds(SSL* tls, SSL_CTX* own, bool& verified) const {
  if (SSL_get0_peer_certificate(tls) == nullptr) return true;
  if (end_of(tls) <= base::now().ms / 1000) return false;
  void* const now = word_of(digest_);
  void* seen = SSL_get_ex_data(tls, slot_of_digest());
  if (seen == nullptr) {
    const ClientTrust* let_in = of(tls);
    seen = let_in == nullptr ? nullptr : word_of(let_in->digest_);
  }
  if (seen == now) return true;
  verified = true;
  if (!verifies(tls, own)) return false;
  SSL_set_ex_data(tls, slot_of_digest(), now);
  return true;
}

const ClientTrust& ClientTrust::install(SSL_CTX* context, const TlsServerOptions& o) {
  auto* trust = new ClientTrust;
  if (SSL_CTX_set_ex_data(context, slot(), trust) != 1) {
    delete trust;
    throw std::bad_alloc();
  }
  trust->read(context, o);
  SSL_CTX_set_session_ticket_cb(context, on_make_ticket, on_ticket, nullptr);
  return *trust;
}

const ClientTrust* ClientTrust::of(const SSL* tls) {
  return of(SSL_get_SSL_CTX(tls));
}

const ClientTrust* ClientTrust::of(const SSL_CTX* context) {
  return static_cast<const ClientTrust*>(SSL_CTX_get_ex_data(context, slot()));
}

void ClientTrust::read(SSL_CTX* context, const TlsServerOptions& o) {
  std::string all(1, static_cast<char>(o.client_certificates));
  if (o.client_certificates != ClientCertificates::none) {
    const runtime::PemFile in = runtime::open_pem(o.ca_file);
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    std::set<std::string> sorted;  // the order in a file means nothing
    for (;; ++authorities_) {
      const Certificate c(PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr));
      if (!c) break;
      if (X509_STORE_add_cert(store, c.get()) != 1 || SSL_CTX_add_client_CA(context, c.get()) != 1)
        fail(o.ca_file);
      sorted.insert(sha256(der_of<X509>(c.get(), i2d_X509)));
      ca_ends_s_ = std::min(ca_ends_s_, runtime::expiry_of(c.get()));
    }
    expect_end(o.ca_file, authorities_);
    for (const std::string& one : sorted) all += one;
    if (!o.crl_file.empty()) read_revocations(context, o.crl_file, all);
    const bool required = o.client_certificates == ClientCertificates::required;
    if (required) needed_ = o.user_name;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       on_verified);
  }
  digest_ = sha256(all);
}

// What the digest has of a list is who is revoked, not when it was written: a new list that revokes
// nobody else costs no full handshakes.
void ClientTrust::read_revocations(SSL_CTX* context, const std::string& file, std::string& all) {
  const runtime::PemFile in = runtime::open_pem(file);
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  std::set<std::string> sorted;
  std::size_t lists = 0;
  for (;; ++lists) {
    const Revocations list(PEM_read_bio_X509_CRL(in.get(), nullptr, no_passphrase, nullptr));
    if (!list) break;
    if (X509_STORE_add_crl(store, list.get()) != 1) fail(file);
    if (const ASN1_TIME* due = X509_CRL_get0_nextUpdate(list.get()))
      crl_due_s_ = std::min(crl_due_s_, runtime::unix_time(due));
    const std::string issuer = der_of<X509_NAME>(X509_CRL_get_issuer(list.get()), i2d_X509_NAME);
    STACK_OF(X509_REVOKED)* revoked = X509_CRL_get_REVOKED(list.get());
    for (int i = 0; i < sk_X509_REVOKED_num(revoked); ++i) {
      const X509_REVOKED* one = sk_X509_REVOKED_value(revoked, i);
      sorted.insert(sha256(
          issuer + der_of<ASN1_INTEGER>(X509_REVOKED_get0_serialNumber(one), i2d_ASN1_INTEGER)));
    }
  }
  expect_end(file, lists);
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  all += "crl";
  for (const std::string& one : sorted) all += one;
}

bool ClientTrust::nameless(SSL* tls) const {
  return needed_ != CertificateName::none && name_of_peer(tls, needed_).empty();
}

std::string ClientTrust::facts_of(SSL* tls) const {
  const STACK_OF(X509)* chain = SSL_get0_verified_chain(tls);
  const std::int64_t ends = end_of_chain(chain);
  std::string facts(1, kFacts);
  put_time(facts, base::wall_time().ms / 1000);
  put_time(facts, ends);
  return facts + digest_ + keys_of(chain);
}

bool ClientTrust::holds(const SSL_SESSION* session) const {
  const std::string_view facts = facts_in(session);
  if (facts.empty()) return false;
  const std::int64_t now = base::wall_time().ms / 1000;
  const std::int64_t begun = get_time(facts.substr(1));
  return now < get_time(facts.substr(9)) && now < crl_due_s_ && begun <= now + kSkew_s &&
         now - begun < kAll_s && facts.substr(17, 32) == digest_;
}

std::string authorities_of_peer(SSL* tls) {
  if (SSL_get0_peer_certificate(tls) == nullptr) return {};
  if (const STACK_OF(X509)* chain = SSL_get0_verified_chain(tls)) return keys_of(chain);
  const std::string_view facts = facts_in(SSL_get0_session(tls));
  return facts.empty() ? std::string() : std::string(facts.substr(kFixed));
}

}  // namespace berth::gateway::edge
