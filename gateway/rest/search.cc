#include "gateway/rest/search.h"

#include "base/charset.h"
#include "gateway/admin/parameters.h"
#include "gateway/registry/display_name.h"
#include "protocol/messages/schema.h"

namespace berth::gateway::registry {

using protocol::messages::Field;
using protocol::messages::Fields;

namespace {

constexpr std::size_t kQueryMax = 256;  // bytes of q
constexpr std::size_t kLabelMax = 520;  // bytes of label

// Of each kind; 0: it has no such field.
struct Numbers {
  std::uint32_t display_name, labels, enabled, site, product;
};

Numbers numbers_of(Kind kind) {
  switch (kind) {
    case Kind::tenant:
      return {pb::Tenant::kDisplayNameFieldNumber, pb::Tenant::kLabelsFieldNumber,
              pb::Tenant::kEnabledFieldNumber, 0, 0};
    case Kind::site:
      return {pb::Site::kDisplayNameFieldNumber, pb::Site::kLabelsFieldNumber,
              pb::Site::kEnabledFieldNumber, 0, 0};
    case Kind::product:
      return {pb::Product::kDisplayNameFieldNumber, pb::Product::kLabelsFieldNumber, 0, 0, 0};
    case Kind::device:
      return {pb::Device::kDisplayNameFieldNumber, pb::Device::kLabelsFieldNumber,
              pb::Device::kEnabledFieldNumber, pb::Device::kSiteFieldNumber,
              pb::Device::kProductFieldNumber};
    case Kind::account:
      return {pb::Account::kDisplayNameFieldNumber, pb::Account::kLabelsFieldNumber,
              pb::Account::kEnabledFieldNumber, 0, 0};
  }
  return {};
}

}  // namespace

std::string Search::fault_of(const admin::Request& r) {
  const std::string q = r.parameter("q");
  const std::string label = r.parameter("label");
  if (q.size() > kQueryMax || !base::is_utf8(q)) return "q is UTF-8 of at most 256 bytes";
  if (label.size() > kLabelMax || !base::is_utf8(label))
    return "label is UTF-8 of at most 520 bytes";
  if (label.starts_with('=') || label.starts_with(':')) return "label is NAME=VALUE or NAME";
  return {};
}

// "k=v", or "k:v" if there is no '='; "k" alone is any value.
Search::Search(const admin::Request& r, std::size_t looks)
    : q_(folded(r.parameter("q"))),
      site_(r.parameter("site")),
      product_(r.parameter("product")),
      looks_(looks) {
  const std::string label = r.parameter("label");
  std::size_t at = label.find('=');
  if (at == std::string::npos) at = label.find(':');
  label_ = label.substr(0, at);
  if (at != std::string::npos) is_ = label.substr(at + 1);
  if (!r.parameter("enabled").empty()) enabled_ = admin::flag(r, "enabled");
}

bool Search::has_label(std::string_view entry) const {
  std::string_view name;
  std::string_view value;
  Fields fields(entry);
  for (Field f; fields.next(f);) (f.number == 1 ? name : value) = f.bytes;
  return name == label_ && (!is_ || value == *is_);
}

bool Search::admits(const Key& key, std::string_view value) const {
  const Numbers n = numbers_of(key.kind);
  const std::string_view name = key.kind == Kind::tenant ? key.tenant : key.name;
  bool q = contains_folded(name, q_);
  bool label = label_.empty();
  bool site = site_.empty();
  bool product = product_.empty();
  bool enabled = true;
  Fields fields(value);
  for (Field f; fields.next(f);) {
    if (f.number == n.display_name) q = q || contains_folded(f.bytes, q_);
    if (f.number == n.labels) label = label || has_label(f.bytes);
    if (f.number == n.site) site = site || f.bytes == site_;
    if (f.number == n.product) product = product || f.bytes == product_;
    if (f.number == n.enabled) enabled = f.value != 0;
  }
  return q && label && site && product && (!enabled_ || *enabled_ == enabled);
}

}  // namespace berth::gateway::registry
