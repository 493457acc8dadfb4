#include "gateway/edge/tls_server.h"

#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/read_file.h"
#include "base/text.h"
#include "gateway/edge/client_trust.h"
#include "gateway/runtime/degraded.h"
#include "gateway/runtime/last_good.h"

namespace berth::gateway::edge {
namespace {

constexpr std::size_t kTicketKey = 80;  // name 16, AES 32, HMAC 32
constexpr std::size_t kNameMax = 256;   // bytes

std::vector<std::string> parts(const std::string& list) {
  std::vector<std::string> out;
  std::istringstream in(list);
  for (std::string one; std::getline(in, one, ',');) {
    const std::size_t begin = one.find_first_not_of(' ');
    if (begin == std::string::npos) continue;
    out.push_back(one.substr(begin, one.find_last_not_of(' ') - begin + 1));
  }
  return out;
}

std::int64_t use_certificates(SSL_CTX* c, const TlsServerOptions& o) {
  const auto certs = parts(o.cert_file);
  const auto keys = parts(o.key_file);
  if (certs.empty() || certs.size() != keys.size())
    throw std::runtime_error("as many keys as certificates are needed, one at least");
  std::int64_t ends = ClientTrust::kNever;
  for (std::size_t i = 0; i < certs.size(); ++i)
    ends = std::min(ends, runtime::use_certificate(c, certs[i], keys[i]));
  return ends;
}

void use_tickets(SSL_CTX* c, std::string key) {
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);  // tickets only: no memory here
  SSL_CTX_set_num_tickets(c, 1);
  SSL_CTX_set_timeout(c, ClientTrust::kTicket_s);
  static constexpr unsigned char kContext[] = "berth";
  SSL_CTX_set_session_id_context(c, kContext, sizeof kContext - 1);
  SSL_CTX_set_tlsext_ticket_keys(c, key.data(), static_cast<long>(key.size()));
}

std::string ticket_key(const std::string& file) {
  std::string key = base::read_file(file);
  if (key.size() != kTicketKey) throw std::runtime_error(file + ": not 80 bytes");
  return key;
}

// A client that offers protocols gets "mqtt" if it is among them.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in,
                    unsigned int in_size, void*) {
  static constexpr unsigned char kMqtt[] = "\x04mqtt";
  unsigned char* chosen = nullptr;
  const int r = SSL_select_next_proto(&chosen, size, kMqtt, sizeof kMqtt - 1, in, in_size);
  *out = chosen;
  return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

std::string common_name_of(X509* cert) {
  const X509_NAME* subject = X509_get_subject_name(cert);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* text = nullptr;
  const int n =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (n < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(n));
  OPENSSL_free(text);
  return name;
}

// The first DNS name of its subjectAltName.
std::string dns_name_of(X509* cert) {
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  std::string found;
  for (int i = 0; found.empty() && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* n = sk_GENERAL_NAME_value(names, i);
    if (n->type != GEN_DNS) continue;
    found.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(n->d.dNSName)),
                 static_cast<std::size_t>(ASN1_STRING_length(n->d.dNSName)));
  }
  GENERAL_NAMES_free(names);
  return found;
}

std::string fingerprint_of(X509* cert) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (X509_digest(cert, EVP_sha256(), digest, &size) != 1) return {};
  return base::to_hex({reinterpret_cast<const char*>(digest), size});
}

bool ended(const std::vector<runtime::CertificateExpiry>& all) {
  return std::any_of(all.begin(), all.end(), [](const auto& e) {
    return e.name == "mqtts" && e.not_after_s < std::time(nullptr);
  });
}

// With the setting of the file that is bad.
std::string named(const TlsServerOptions& o, const std::string& why) {
  std::vector<runtime::NamedSetting> all;
  for (const std::string& f : parts(o.cert_file)) all.emplace_back("cert_file", f);
  for (const std::string& f : parts(o.key_file)) all.emplace_back("key_file", f);
  all.emplace_back("ca_file", o.ca_file);
  all.emplace_back("crl_file", o.crl_file);
  all.emplace_back("ticket_key_file", o.ticket_key_file);
  return runtime::with_setting(why, "mqtts", all);
}

std::string expired(const TlsServerOptions& o) {
  return "mqtts.cert_file: " + o.cert_file + ": expired";
}

// Certificates and keys in the order of the configuration, then authorities and revocations. Not
// the key of tickets, which is no PEM.
std::vector<runtime::NamedFile> kept(const TlsServerOptions& o) {
  std::vector<runtime::NamedFile> all;
  const auto add = [&all](const std::string& name, const std::vector<std::string>& paths) {
    for (std::size_t i = 0; i < paths.size(); ++i)
      all.push_back({"device-" + name + "-" + std::to_string(i), paths[i]});
  };
  add("cert", parts(o.cert_file));
  add("key", parts(o.key_file));
  const std::pair<const char*, const std::string&> others[] = {{"ca", o.ca_file},
                                                               {"crl", o.crl_file}};
  for (const auto& [name, path] : others) {
    if (!path.empty()) all.push_back({std::string("device-") + name, path});
  }
  return all;
}

TlsServerOptions of_copies(TlsServerOptions o, const std::vector<std::string>& paths) {
  const std::size_t certs = parts(o.cert_file).size();
  std::size_t at = 0;
  const auto joined = [&](std::size_t n) {
    std::string list;
    for (std::size_t i = 0; i < n; ++i) list += (i == 0 ? "" : ",") + paths.at(at++);
    return list;
  };
  o.cert_file = joined(certs);
  o.key_file = joined(parts(o.key_file).size());
  for (std::string* one : {&o.ca_file, &o.crl_file}) {
    if (!one->empty()) *one = paths.at(at++);
  }
  return o;
}

// They are in force.
void keep(const TlsServerOptions& o) {
  if (o.keep_directory.empty()) return;
  runtime::keep_all(o.keep_directory, kept(o));
  runtime::set_degraded(runtime::Part::device_certificates, {});
}

}  // namespace

std::vector<std::string> files_of(const TlsServerOptions& o) {
  std::vector<std::string> all = parts(o.cert_file);
  for (const std::string& f : parts(o.key_file)) all.push_back(f);
  for (const std::string& f : {o.ca_file, o.crl_file, o.ticket_key_file}) all.push_back(f);
  return all;
}

// A name with a NUL in it is no name: what reads it as a C string would see another. Nor is a name
// longer than user names may be.
std::string name_of_peer(SSL* tls, CertificateName which) {
  X509* cert = which == CertificateName::none ? nullptr : SSL_get0_peer_certificate(tls);
  if (cert == nullptr || SSL_get_verify_result(tls) != X509_V_OK) return {};
  const std::string name = which == CertificateName::common_name ? common_name_of(cert)
                           : which == CertificateName::dns_name  ? dns_name_of(cert)
                                                                 : fingerprint_of(cert);
  return name.size() <= kNameMax && name.find('\0') == std::string::npos ? name : std::string();
}

TlsServer::TlsServer(TlsServerOptions options)
    : options_(std::move(options)), own_ticket_key_(kTicketKey, '\0') {
  if (RAND_bytes(reinterpret_cast<unsigned char*>(own_ticket_key_.data()), kTicketKey) != 1)
    throw std::runtime_error("mqtts: no random bytes");
  try {
    now_ = make(options_);
    if (!ended(now_.expiries)) {
      keep(options_);
      return;
    }
  } catch (const std::runtime_error& e) {
    if (!use_copies(e.what())) throw;
    return;
  }
  const std::string why = expired(options_);
  if (!use_copies(why)) BERTH_LOG(err, "certificates of devices error=\"{}\"", why);
}

bool TlsServer::use_copies(const std::string& why_not) {
  const auto copies = runtime::copies_of(options_.keep_directory, kept(options_));
  if (!copies) return false;
  try {
    Made made = make(of_copies(options_, *copies));
    if (ended(made.expiries)) throw std::runtime_error("expired");
    now_ = std::move(made);
  } catch (const std::runtime_error& e) {
    BERTH_LOG(err, "the last good certificates of devices are of no use error=\"{}\"", e.what());
    return false;
  }
  BERTH_LOG(err, "devices go on with the last good certificates error=\"{}\"", why_not);
  runtime::set_degraded(runtime::Part::device_certificates, why_not);
  return true;
}

void TlsServer::check(TlsServerOptions options) {
  options.keep_directory.clear();
  const TlsServer tls(options);
  if (ended(tls.now_.expiries)) throw std::runtime_error(expired(options));
}

TlsServer::~TlsServer() = default;

TlsServer::Made TlsServer::make(const TlsServerOptions& o) const try {
  Made made{Context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free), {}};
  SSL_CTX* c = made.context.get();
  if (c == nullptr) throw std::runtime_error(runtime::tls_error());
  SSL_CTX_set_min_proto_version(c, o.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_options(
      c, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                          SSL_MODE_RELEASE_BUFFERS);
  made.expiries.push_back({"mqtts", use_certificates(c, o)});
  const ClientTrust& trust = ClientTrust::install(c, o);
  if (trust.ca_ends_s() != ClientTrust::kNever)
    made.expiries.push_back({"mqtts_ca", trust.ca_ends_s()});
  if (trust.crl_due_s() != ClientTrust::kNever)
    made.expiries.push_back({"mqtts_crl", trust.crl_due_s()});
  made.authorities = trust.authorities();
  const std::string& file = o.ticket_key_file;
  use_tickets(c, file.empty() ? own_ticket_key_ : ticket_key(file));
  SSL_CTX_set_alpn_select_cb(c, choose_protocol, nullptr);
  return made;
} catch (const std::runtime_error& e) {
  throw std::runtime_error(named(o, e.what()));
}

void TlsServer::reload() {
  Made fresh = make(options_);
  if (ended(fresh.expiries)) throw std::runtime_error(expired(options_));
  keep(options_);
  const std::lock_guard lock(mutex_);
  now_ = std::move(fresh);
}

std::vector<runtime::CertificateExpiry> TlsServer::expiries() const {
  const std::lock_guard lock(mutex_);
  return now_.expiries;
}

std::size_t TlsServer::authorities() const {
  const std::lock_guard lock(mutex_);
  return now_.authorities;
}

SSL* TlsServer::accept(int fd) const {
  Context context;
  {
    const std::lock_guard lock(mutex_);
    context = now_.context;
  }
  SSL* tls = SSL_new(context.get());  // holds a reference of its own
  if (tls == nullptr) return nullptr;
  SSL_set_fd(tls, fd);
  SSL_set_accept_state(tls);
  return tls;
}

bool TlsServer::still_trusts(SSL* tls, bool& verified) const {
  Context context;
  {
    const std::lock_guard lock(mutex_);
    context = now_.context;
  }
  const ClientTrust* trust = ClientTrust::of(context.get());
  return trust == nullptr || trust->still_holds(tls, context.get(), verified);
}

}  // namespace berth::gateway::edge
