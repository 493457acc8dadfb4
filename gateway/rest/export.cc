#include "gateway/rest/export.h"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>

#include "gateway/admin/parameters.h"
#include "gateway/registry/csv.h"

namespace berth::gateway::registry {

namespace asio = boost::asio;
using admin::Request;
using admin::Response;

namespace {

constexpr std::size_t kAtOnce = 100;  // devices, between two breaths

// Devices behind `after`, which moves on. False: that was the last.
bool some_devices(const Registry& registry, std::string& after,
                  const std::function<void(std::string_view tenant, const pb::Device& d)>& f) {
  const std::string prefix{static_cast<char>(Kind::device), '/'};
  std::size_t seen = 0;
  bool more = false;
  registry.each(prefix, after, [&](const std::string& key, const std::string& value) {
    after = key.substr(prefix.size());
    pb::Device d;
    if (d.ParseFromString(value)) f(parse_key(key).tenant, d);
    more = ++seen == kAtOnce;
    return !more;
  });
  return more;
}

}  // namespace

bool wants_csv(const Request& r) {
  return r.parameter("format") == "csv";
}

std::string fault_of_export(const Request& r) {
  const std::string format = r.parameter("format");
  const std::string encoding = r.parameter("encoding");
  if (!format.empty() && format != "csv" && format != "yaml") return "format is yaml or csv";
  if (!encoding.empty() && !wants_csv(r)) return "encoding is for format=csv";
  if (!encoding.empty() && !csv_encoding(encoding))
    return "encoding is utf-8, utf-8-bom or gb18030";
  return {};
}

asio::awaitable<Response> export_csv(const Registry& registry, Request r) {
  const std::string said = r.parameter("encoding");
  const CsvEncoding encoding = csv_encoding(said).value_or(CsvEncoding::utf8);
  CsvWriter writer(encoding, admin::flag(r, "secrets") ? Secrets::shown : Secrets::left_out);
  const auto home = co_await asio::this_coro::executor;
  const auto look = [&writer](std::string_view, const pb::Device& d) { writer.look_at(d); };
  std::string after;
  while (some_devices(registry, after, look)) co_await asio::post(home, asio::use_awaitable);
  std::string body = writer.head();
  const auto write = [&](std::string_view tenant, const pb::Device& d) {
    body += writer.lines(tenant, d);
  };
  after.clear();
  while (some_devices(registry, after, write)) co_await asio::post(home, asio::use_awaitable);
  const char* type =
      encoding == CsvEncoding::gb18030 ? "text/csv; charset=gb18030" : "text/csv; charset=utf-8";
  co_return Response{200, type, std::move(body), {}};
}

}  // namespace berth::gateway::registry
