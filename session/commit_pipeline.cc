#include "session/commit_pipeline.h"

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "session/meta_keys.h"

namespace berth::session {

void CommitPipeline::touch(Session& s, std::uint64_t seq) {
  Flow& q = s.own_flow();
  if (q.touched == 0) {
    open_.touched.emplace_back(s.id, seq);
    q.touched = static_cast<std::uint32_t>(open_.touched.size());
  } else {
    open_.touched[q.touched - 1].second = seq;
  }
}

bool CommitPipeline::any_retains() const {
  const auto retains = [](const auto& batch) { return batch.retains; };
  return open_.retains || std::any_of(sealed_.begin(), sealed_.end(), retains) ||
         std::any_of(due_.begin(), due_.end(), retains);
}

void CommitPipeline::drop_link(std::uint32_t link) {
  const auto theirs = [link](const Deferred& d) {
    return d.conn != base::kNoConn && d.conn.link() == link;
  };
  const auto theirs_again = [&](OpenBatch& batch) {
    const auto end = batch.deferred.begin() + static_cast<std::ptrdiff_t>(batch.again);
    batch.again -= static_cast<std::size_t>(std::count_if(batch.deferred.begin(), end, theirs));
    std::erase_if(batch.deferred, theirs);
  };
  theirs_again(open_);
  for (OpenBatch& batch : sealed_) theirs_again(batch);
  for (Due& due : due_) {
    due.list.erase(due.list.begin(), due.list.begin() + static_cast<std::ptrdiff_t>(due.at));
    due.at = 0;
    std::erase_if(due.list, theirs);
  }
}

// A batch of its own for what waits for one.
void CommitPipeline::barrier() {
  write({.kind = WriteKind::remove_applied, .key = kBarrierKey});
}

void CommitPipeline::defer(Channel& ch, Deferred d) {
  d.conn = ch.conn;
  d.in_off = ch.in_off;
  d.came = times_.now();
  ++ch.pending;
  may_have_work_ = true;
  add(std::move(d));
}

void CommitPipeline::defer_call(Channel& ch, std::function<void(base::Instant)> call) {
  Deferred d;
  d.kind = Deferred::Kind::call;
  d.call = std::move(call);
  defer(ch, std::move(d));
}

// For effects of no connection (wills). `wrote`: they wait for writes of the open batch.
void CommitPipeline::submit(Deferred d, bool wrote, base::Instant now) {
  d.conn = base::kNoConn;
  d.work = effects_.work().word();
  if (!wrote && sink_.run(d, now)) return;
  may_have_work_ = true;
  add(std::move(d));
}

void CommitPipeline::defer_or_run(Channel& ch, Deferred d, bool wrote, base::Instant now) {
  if (wrote || gated(ch)) return defer(ch, std::move(d));
  ++ch.pending;
  d.conn = ch.conn;
  d.in_off = ch.in_off;
  d.came = times_.now();
  if (sink_.run(d, now)) return;
  may_have_work_ = true;
  add(std::move(d));
}

std::shared_ptr<const Batch> CommitPipeline::seal() {
  if (!wants_commit()) return nullptr;
  for (const auto& [id, seq] : open_.touched) {
    if (Session* s = sessions_.by_id(id)) s->own_flow().touched = 0;
  }
  sealed_.push_back(std::move(open_));
  open_ = OpenBatch{};
  return sealed_.back().writes;
}

void CommitPipeline::committed(const CommitResult& result, base::Instant now) {
  BERTH_ASSERT(!sealed_.empty() && !result.error);
  OpenBatch batch = std::move(sealed_.front());
  sealed_.pop_front();
  ++probe_.commits;
  probe_.committed_writes += batch.writes->size();
  for (const auto& [id, seq] : batch.touched) {
    if (Session* s = sessions_.by_id(id))
      s->own_flow().durable_seq = std::max(s->flow().durable_seq, seq);
  }
  may_have_work_ = true;
  due_.push_back({std::move(batch.deferred), 0, std::move(batch.touched), 0, batch.retains});
  for (const base::SessionId id : result.refused) {  // another owner took the session
    Session* s = sessions_.by_id(id);
    if (s != nullptr && s->channel != nullptr) {
      const WorksFor scope = works_for(s->channel->conn);
      sink_.refused(*s);
    }
  }
  run_due(now);
}

void CommitPipeline::run_due(base::Instant now) {
  if (std::exchange(in_due_, true)) return;
  run_due_lists(now);
  in_due_ = false;
}

void CommitPipeline::run_due_lists(base::Instant now) {
  for (;;) {
    while (!due_.empty() && !budget_.spent()) {
      Due& due = due_.front();
      run_list(due, now);
      if (due.at != due.list.size()) return;
      for (; due.pumped != due.touched.size() && !budget_.spent(); ++due.pumped) {
        Session* s = sessions_.by_id(due.touched[due.pumped].first);
        if (s == nullptr || (s->channel == nullptr && s->uplink == 0)) continue;
        const WorksFor scope =
            works_for(s->channel == nullptr ? base::kNoConn : s->channel->conn);
        sink_.durable(*s, now);
      }
      if (due.pumped != due.touched.size()) return;
      due_.pop_front();
    }
    if (!is_idle() || open_.deferred.empty()) return;
    const bool retains = std::exchange(open_.retains, false);
    due_.push_back({std::exchange(open_.deferred, {}), 0, {}, 0, retains});  // waits for nothing
    open_.again = 0;
    if (budget_.spent()) return;
  }
}

void CommitPipeline::run_list(Due& due, base::Instant now) {
  while (due.at < due.list.size() && !budget_.spent()) {
    Deferred d = std::move(due.list[due.at++]);
    budget_.take(TurnBudget::kPacket);
    if (!sink_.run(d, now)) put_back(due, std::move(d));
  }
}

// It waits for writes that it made, and what its channel deferred after it waits behind it: before
// all that the open batch has deferred meanwhile.
void CommitPipeline::put_back(Due& due, Deferred d) {
  std::vector<Deferred> again;
  const base::ConnId conn = d.conn;
  again.push_back(std::move(d));
  if (conn != base::kNoConn) {
    std::size_t kept = due.at;
    for (std::size_t i = due.at; i < due.list.size(); ++i) {
      if (due.list[i].conn == conn) {
        again.push_back(std::move(due.list[i]));
      } else if (i != kept) {
        due.list[kept++] = std::move(due.list[i]);
      } else {
        ++kept;
      }
    }
    budget_.take(static_cast<std::int64_t>((due.list.size() - due.at) / 16));
    due.list.resize(kept);
  }
  make_haste();
  const auto at = open_.deferred.begin() + static_cast<std::ptrdiff_t>(open_.again);
  open_.again += again.size();
  open_.deferred.insert(at, std::make_move_iterator(again.begin()),
                        std::make_move_iterator(again.end()));
}

}  // namespace berth::session
