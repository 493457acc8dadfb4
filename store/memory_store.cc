#include "store/memory_store.h"

#include <boost/system/errc.hpp>

namespace berth::session {

void MemoryStore::restore(RestoreSink& sink) {
  for (const auto& [id, r] : sessions_) sink.session({id}, r.value);
  for (const auto& [id, q] : queues_) {
    if (q.empty()) continue;
    sink.queue({id}, {q.begin()->first, q.begin()->second},
               {q.rbegin()->first, q.rbegin()->second});
  }
  for (const auto& [id, ids] : received_) {
    for (const auto& [packet_id, value] : ids) {
      sink.received({id}, static_cast<std::uint16_t>(packet_id), value);
    }
  }
  for (const auto& [k, v] : retained_) sink.retained(k, v);
  for (const auto& [k, v] : applied_) sink.applied(k, v);
  for (const auto& [k, v] : records_) {
    if (k[0] == kLiveRecord) sink.record(k, v);
  }
}

void MemoryStore::apply(const Write& w, CommitResult& result) {
  const std::uint64_t id = w.session.value;
  if (w.epoch != 0) {
    const auto it = sessions_.find(id);
    if (it != sessions_.end() && it->second.epoch > w.epoch) {
      result.refused.push_back(w.session);
      return;
    }
  }
  switch (w.kind) {
    case WriteKind::put_session:
      sessions_[id] = {w.epoch, std::string(w.value)};
      return;
    case WriteKind::delete_session:
      sessions_.erase(id);
      queues_.erase(id);
      received_.erase(id);
      return;
    case WriteKind::append:
      queues_[id][w.seq] = w.value;
      return;
    case WriteKind::remove:
      queues_[id].erase(w.seq);
      return;
    case WriteKind::remove_through: {
      auto& q = queues_[id];
      q.erase(q.begin(), q.upper_bound(w.seq));
      return;
    }
    case WriteKind::put_received:
      received_[id][w.seq] = w.value;
      return;
    case WriteKind::remove_received:
      received_[id].erase(w.seq);
      return;
    case WriteKind::put_retained:
      retained_[std::string(w.key)] = w.value;
      return;
    case WriteKind::remove_retained:
      retained_.erase(std::string(w.key));
      return;
    case WriteKind::put_applied:
      applied_[std::string(w.key)] = w.value;
      return;
    case WriteKind::remove_applied:
      applied_.erase(std::string(w.key));
      return;
    case WriteKind::put_record:
      records_[std::string(w.key)] = w.value;
      return;
    case WriteKind::remove_record:
      records_.erase(std::string(w.key));
      return;
  }
}

void MemoryStore::commit(std::shared_ptr<const Batch> batch, CommitDone done) {
  CommitResult result;
  if (failing_ > 0) {
    --failing_;
    result.error = make_error_code(boost::system::errc::no_space_on_device);
  } else {
    for (std::size_t i = 0; i < batch->size(); ++i) apply((*batch)[i], result);
  }
  post_([done = std::move(done), result] { done(result); });
}

void MemoryStore::read_records(RecordRange range, RecordsDone done) {
  std::vector<StoredRecord> out;
  std::size_t used = 0;
  const auto take = [&](const auto& kv) {
    used += kv.first.size() + kv.second.size();
    if (out.size() == range.count || (!out.empty() && used > range.bytes)) return false;
    out.push_back({kv.first, kv.second});
    return true;
  };
  const auto first = records_.lower_bound(range.from);
  const auto last = range.from < range.to ? records_.lower_bound(range.to) : first;
  if (range.newest_first) {
    for (auto it = last; it != first && take(*std::prev(it));) --it;
  } else {
    for (auto it = first; it != last && take(*it);) ++it;
  }
  post_([done = std::move(done), out = std::move(out)]() mutable { done(std::move(out)); });
}

void MemoryStore::read_queue(base::SessionId session, std::uint64_t from, std::size_t count,
                             std::size_t bytes, ReadDone done) {
  std::vector<StoredEntry> out;
  std::size_t used = 0;
  const auto& q = queues_[session.value];
  for (auto it = q.lower_bound(from); it != q.end() && out.size() < count; ++it) {
    if (!out.empty() && used + it->second.size() > bytes) break;
    used += it->second.size();
    out.push_back({it->first, it->second});
  }
  post_([done = std::move(done), out = std::move(out)]() mutable { done(std::move(out)); });
}

}  // namespace berth::session
