#include "gateway/link/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "base/log.h"
#include "gateway/runtime/degraded.h"
#include "gateway/runtime/last_good.h"
#include "gateway/runtime/pem.h"

namespace berth::gateway::link {
namespace {

// The subject of the certificate that this thread's last handshake has refused: OpenSSL forgets it.
thread_local std::string refused_subject;

std::string subject_of(X509* cert) {
  char name[256] = "";
  if (cert != nullptr) X509_NAME_oneline(X509_get_subject_name(cert), name, sizeof name);
  return name;
}

int on_verify(int good, X509_STORE_CTX* chain) {
  if (good != 1) refused_subject = subject_of(X509_STORE_CTX_get0_cert(chain));
  return good;
}

std::vector<std::string> names_in(const std::string& list) {
  std::vector<std::string> all;
  std::istringstream in(list);
  for (std::string one; std::getline(in, one, ',');) {
    one.erase(std::remove(one.begin(), one.end(), ' '), one.end());
    if (!one.empty()) all.push_back(one);
  }
  return all;
}

bool ended(const runtime::CertificateExpiry& e) {
  return e.name == "link" && e.not_after_s < std::time(nullptr);
}

std::vector<runtime::NamedFile> kept(const TlsFiles& f) {
  return {{"link-ca", f.ca_file}, {"link-cert", f.cert_file}, {"link-key", f.key_file}};
}

// They are in force.
void keep(const TlsFiles& f) {
  runtime::keep_all(f.keep_directory, kept(f));
  runtime::set_degraded(runtime::Part::link_certificates, {});
}

}  // namespace

TlsContext::Loaded TlsContext::load(const TlsFiles& files) try {
  Loaded l;
  l.context = {SSL_CTX_new(TLS_method()), SSL_CTX_free};
  SSL_CTX* c = l.context.get();
  if (c == nullptr) throw std::runtime_error("TLS: " + runtime::tls_error());
  SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, on_verify);
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(c, 0);
  const std::int64_t authority = runtime::use_authorities(c, files.ca_file);
  l.expiries = {{"link", runtime::use_certificate(c, files.cert_file, files.key_file)},
                {"link_ca", authority}};
  if (names_in(files.peer_name).empty())
    throw std::runtime_error("cluster.peer_name: no name to look for in the peer's certificate");
  return l;
} catch (const std::runtime_error& e) {
  throw std::runtime_error(runtime::with_setting(
      e.what(), "cluster",
      {{"ca_file", files.ca_file}, {"cert_file", files.cert_file}, {"key_file", files.key_file}}));
}

TlsContext::Loaded TlsContext::load_valid(const TlsFiles& files) {
  Loaded l = load(files);
  if (ended(l.expiries.front()))
    throw std::runtime_error("cluster.cert_file: " + files.cert_file + ": expired");
  return l;
}

void TlsContext::check(const TlsFiles& files) {
  load_valid(files);
}

void TlsContext::check_own_authority(const TlsFiles& files) {
  const Loaded l = load(files);
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> chain(X509_STORE_CTX_new(),
                                                                              X509_STORE_CTX_free);
  STACK_OF(X509)* others = nullptr;
  SSL_CTX_get0_chain_certs(l.context.get(), &others);
  if (!chain || X509_STORE_CTX_init(chain.get(), SSL_CTX_get_cert_store(l.context.get()),
                                    SSL_CTX_get0_certificate(l.context.get()), others) != 1)
    throw std::runtime_error("TLS: " + runtime::tls_error());
  if (X509_verify_cert(chain.get()) == 1) return;
  throw std::runtime_error("cluster.cert_file " + files.cert_file +
                           " is not of an authority in cluster.ca_file " + files.ca_file + ": " +
                           X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain.get())));
}

TlsContext::TlsContext(TlsFiles files) : files_(std::move(files)) {
  try {
    loaded_ = load(files_);
    if (!ended(loaded_.expiries.front())) {
      keep(files_);
      return;
    }
    error_ = files_.cert_file + ": expired";
  } catch (const std::runtime_error& e) {
    error_ = e.what();
  }
  if (!use_copies(error_))
    BERTH_LOG(err, "no links: certificates of links are bad error=\"{}\"", error_);
}

bool TlsContext::use_copies(const std::string& why_not) {
  const auto copies = runtime::copies_of(files_.keep_directory, kept(files_));
  if (!copies) return false;
  TlsFiles f = files_;
  f.ca_file = (*copies)[0];
  f.cert_file = (*copies)[1];
  f.key_file = (*copies)[2];
  try {
    loaded_ = load_valid(f);
  } catch (const std::runtime_error& e) {
    BERTH_LOG(err, "the last good certificates of links are of no use error=\"{}\"", e.what());
    return false;
  }
  BERTH_LOG(err, "links go on with the last good certificates error=\"{}\"", why_not);
  runtime::set_degraded(runtime::Part::link_certificates, why_not);
  error_.clear();
  return true;
}

TlsContext::~TlsContext() = default;

bool TlsContext::reload() {
  std::string why;
  try {
    Loaded fresh = load_valid(files_);
    const std::lock_guard lock(mutex_);
    loaded_ = std::move(fresh);
    error_.clear();
  } catch (const std::runtime_error& e) {
    why = e.what();
    const std::lock_guard lock(mutex_);
    if (loaded_.context == nullptr || !error_.empty()) error_ = why;
  }
  if (why.empty()) {
    keep(files_);
    runtime::log_certificates("certificates of links read again", expiries());
  } else {
    if (error().empty()) runtime::set_degraded(runtime::Part::link_certificates, why);
    BERTH_LOG(err, "certificates of links stay as they were error=\"{}\"", why);
  }
  return why.empty();
}

std::string TlsContext::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

std::vector<runtime::CertificateExpiry> TlsContext::expiries() const {
  const std::lock_guard lock(mutex_);
  return loaded_.expiries;
}

std::vector<std::string> TlsContext::files() const {
  return {files_.ca_file, files_.cert_file, files_.key_file};
}

SSL* TlsContext::make() const {
  std::shared_ptr<SSL_CTX> context;
  {
    const std::lock_guard lock(mutex_);
    context = loaded_.context;
  }
  SSL* tls = context == nullptr ? nullptr : SSL_new(context.get());  // holds a reference
  if (tls == nullptr) return nullptr;
  SSL_set_hostflags(tls, X509_CHECK_FLAG_NO_WILDCARDS);
  for (const std::string& name : names_in(files_.peer_name)) {
    if (SSL_add1_host(tls, name.c_str()) == 1) continue;
    SSL_free(tls);  // without this name others would do
    return nullptr;
  }
  return tls;
}

SSL* TlsContext::accept() const {
  SSL* tls = make();
  if (tls != nullptr) SSL_set_accept_state(tls);
  return tls;
}

SSL* TlsContext::connect() const {
  SSL* tls = make();
  if (tls != nullptr) SSL_set_connect_state(tls);
  return tls;
}

std::string failure_of(SSL* tls, int result) {
  const int saved = errno;
  const std::string subject = std::exchange(refused_subject, {});
  switch (SSL_get_error(tls, result)) {
    case SSL_ERROR_ZERO_RETURN:
      return "end of stream";
    case SSL_ERROR_SYSCALL:
      return saved == 0 ? "end of stream" : std::strerror(saved);
    default:
      break;
  }
  if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    ERR_clear_error();
    return "end of stream";
  }
  std::string why = "TLS: " + runtime::tls_error();
  const long verified = SSL_get_verify_result(tls);
  if (verified != X509_V_OK) why.append(": ").append(X509_verify_cert_error_string(verified));
  if (!subject.empty()) why.append(" subject=").append(subject);
  return why;
}

}  // namespace berth::gateway::link
