#include "gateway/console/console.h"

#include <libdeflate.h>

#include <memory>
#include <string>
#include <utility>

#include "gateway/admin/problem.h"

namespace berth::gateway::console {

using admin::Request;
using admin::Response;

namespace {

// Scripts, styles and requests of the page's own origin only: the console works in a network
// without a way out, and a text of a device that was shown as HTML could do nothing.
constexpr const char* kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action "
    "'none'; "
    "frame-ancestors 'none'";

constexpr const char* kNone =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Berth</title><h1>Berth</h1>"
    "<p>This binary was built without the console: Node.js was missing. / "
    "此程序构建时没有 Node.js，不含控制台。</p>"
    "<p><code>berth ctl</code>, <code>/api/v1/…</code>, <code>/metrics</code></p></html>\n";

bool takes_gzip(const Request& r) {
  const std::string accepted = admin::lower_case(r.header("accept-encoding"));
  return accepted.find("gzip") != std::string::npos &&
         accepted.find("gzip;q=0") == std::string::npos;
}

std::string unzipped(const Asset& a) {
  std::string out(a.size, '\0');
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)> d(
      libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
  std::size_t n = 0;
  if (d == nullptr || libdeflate_gzip_decompress(d.get(), a.gzip.data(), a.gzip.size(), out.data(),
                                                 out.size(), &n) != LIBDEFLATE_SUCCESS)
    return {};
  out.resize(n);
  return out;
}

Response page_of(const Request& r, const Asset& a) {
  Response out;
  out.content_type = a.type;
  out.headers["Content-Security-Policy"] = kPolicy;
  out.headers["Referrer-Policy"] = "no-referrer";
  out.headers["X-Frame-Options"] = "DENY";
  out.headers["Vary"] = "Accept-Encoding";
  // The name changes with the content; index.html names the others.
  out.headers["Cache-Control"] = a.path == "/" ? "no-cache" : "public, max-age=31536000, immutable";
  if (takes_gzip(r)) {
    out.headers["Content-Encoding"] = "gzip";
    out.body = a.gzip;
  } else {
    out.body = unzipped(a);
  }
  return out;
}

Response answer(const Request& r) {
  for (std::size_t i = 0; i < kAssetCount; ++i) {
    if (kAssets[i].path == r.path) return page_of(r, kAssets[i]);
  }
  if (r.path != "/") return admin::problem(admin::codes::kNotFound, "no such page");
  Response none;
  none.content_type = "text/html; charset=utf-8";
  none.headers["Content-Security-Policy"] = "default-src 'none'";
  none.body = kNone;
  return none;
}

boost::asio::awaitable<Response> serve(Request r) {
  co_return answer(r);
}

}  // namespace

void serve_console(admin::HttpServer& http) {
  const admin::RouteOptions options{.who = admin::For::accounts, .body_max = 0};
  http.route(
      "GET /", [](Request r) { return serve(std::move(r)); }, options);
  http.route(
      "GET /console/{file}", [](Request r) { return serve(std::move(r)); }, options);
}

}  // namespace berth::gateway::console
