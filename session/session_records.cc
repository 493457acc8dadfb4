#include "session/session_records.h"

#include "session/principal_key.h"
#include "session/quota.h"
#include "session/record_codec.h"
#include "session/records.pb.h"

namespace berth::session {

std::string SessionRecords::raw_filter(const Subscription& sub) {
  const std::string filter = router_.filter(sub.filter);
  return sub.shared ? "$share/" + *sub.shared + "/" + filter : filter;
}

void SessionRecords::put(Session& s) {
  pb::Session r;
  const bool unowned = s.client_id.starts_with(kUnownedKey);  // stays as it was found
  r.set_client_id(unowned ? std::string(client_id_of(s.client_id)) : s.client_id);
  r.set_keyed(!unowned);
  if (s.account != nullptr) r.set_site(s.account->site());
  r.set_epoch(s.epoch);
  r.set_expiry_s(s.expiry_s);
  r.set_expires_at_ms(s.channel != nullptr || s.expires_at == base::kNever ? 0 : s.expires_at.ms);
  r.set_owner_edge(s.owner_edge);
  r.set_owner_conn(s.owner_conn);
  r.set_session_present(s.session_present);
  r.set_sent_max(s.flow().sent_max);
  r.set_sent_before(s.flow().sent_before);
  r.set_sent_surely(s.flow().sent_surely);
  r.set_will_at_ms(s.will_at() == base::kNever ? 0 : s.will->at.ms);
  if (s.will) will_to_pb(*s.will, *r.mutable_will());
  r.set_will_is_ours(s.will && s.will->ours);
  r.set_keeps_filters(s.keeps_filters);
  r.set_ends_offline(s.ends_offline);
  if (s.counted && principal_of(s.client_id).empty())
    r.set_address(std::string(address_of_key(s.held.holder()->principal())));
  if (s.flow().slots) r.set_slots(encode_slots(s.flow()));
  budget_.take(TurnBudget::kSession);
  if (s.persistent() || s.keeps_filters) {
    constexpr std::int64_t kFilterOfRecord = 4;
    budget_.take(kFilterOfRecord * static_cast<std::int64_t>(s.subscriptions.size()));
    for (const Subscription& sub : s.subscriptions) {
      auto& out = *r.add_subscriptions();
      out.set_filter(raw_filter(sub));
      out.set_options(sub.options.raw);
      out.set_id(sub.id);
    }
  }
  r.set_shared(s.shared);
  if (estates_.has(s.id)) {
    r.set_ended(true);
    for (const std::uint32_t g : estates_.at(s.id).groups) r.add_groups(g);
  }
  s.stored = true;
  const std::string value = r.SerializeAsString();
  budget_.take_bytes(value.size());
  commits_.write(
      {.kind = WriteKind::put_session, .session = s.id, .epoch = s.epoch, .value = value});
}

}  // namespace berth::session
