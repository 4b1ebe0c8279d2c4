// Calls, the long poll, and events turned into callbacks.
#include "sdk/client.h"

#include <cerrno>

#include "module_socket_generated.h"

namespace fb = evp::module_socket;
using namespace evp::sdk;
using std::chrono::steady_clock;

namespace {

// A runtime that doesn't answer a simple call within this time is taken for hanging (docs/protocol.md).
constexpr auto call_timeout = std::chrono::seconds(30);
// A long poll is renewed at least this often, so that "for ever" needs no date in the far future, which some runtimes
// cannot bear.
constexpr auto poll_slice = std::chrono::seconds(60);
// What the answer to a poll may need for its way.
constexpr auto poll_grace = std::chrono::milliseconds(200);

/// The verified root of a message, or null.
const fb::Response* read(const message& m) {
  flatbuffers::Verifier v(m.data(), m.size);
  return v.VerifyBuffer<fb::Response>(nullptr) ? flatbuffers::GetRoot<fb::Response>(m.data()) : nullptr;
}

template <class Result>
void tell(const transfer& t, EVP_BLOB_CALLBACK_REASON reason, const EVP_BlobResultHttp& r, void* user) {
  const Result out{r.result, r.http_status, r.error};
  t.cb(reason, reason == EVP_BLOB_CALLBACK_REASON_DONE ? &out : nullptr, user);
}

template <class T>
void read_result(const fb::BlobOutput& out, EVP_BlobResultHttp& into) {
  const auto* r = static_cast<const T*>(out.result());
  if (r) into = {EVP_BLOB_RESULT(r->result()), r->http_status(), int(r->error())};
}

}  // namespace

std::string EVP_client::get_event(std::chrono::milliseconds from_now) {
  const auto at = std::chrono::system_clock::now().time_since_epoch() + from_now;
  const auto sec = std::chrono::floor<std::chrono::seconds>(at);
  flatbuffers::FlatBufferBuilder b;
  const auto nsec = std::uint64_t(std::chrono::nanoseconds(at - sec).count());
  flatbuffers::Offset<flatbuffers::Vector<std::uint64_t>> acknowledged;
  if (!processed_.empty()) acknowledged = b.CreateVector(processed_);
  processed_.clear();
  const auto body = fb::CreateGetEvent(b, std::uint64_t(sec.count()), nsec, acknowledged, on_outcome != nullptr,
                                       on_progress != nullptr);
  b.Finish(fb::CreateRequest(b, fb::RequestBody_GetEvent, body.Union()));
  return std::string(reinterpret_cast<const char*>(b.GetBufferPointer()), b.GetSize());
}

std::uint64_t EVP_client::expect(callback cb, void* user) {
  waiting_.emplace(++last_token_, waiting{std::move(cb), user});
  return last_token_;
}

void EVP_client::drop_spooled(std::uint64_t token) {
  const auto found = waiting_.find(token);
  if (found == waiting_.end()) return;
  if (auto* t = std::get_if<transfer>(&found->second.cb)) t->spooled.reset();
}

EVP_RESULT EVP_client::call(std::string_view request) {
  std::uint64_t ignored = 0;
  return call(request, ignored);
}

EVP_RESULT EVP_client::call(std::string_view request, std::uint64_t& operation) {
  message answer;
  if (const auto r = channel_.call(request, steady_clock::now() + call_timeout, answer); r != EVP_OK) return r;
  const auto* response = read(answer);
  const auto* simple = response ? response->body_as_Simple() : nullptr;
  if (!simple) return EVP_AGENT_PROTOCOL_ERROR;
  operation = simple->operation();
  return EVP_RESULT(simple->result());
}

EVP_RESULT EVP_client::process_event(int timeout_ms) {
  const auto until = steady_clock::now() + std::chrono::milliseconds(std::max(timeout_ms, 0));
  for (;;) {
    if (exit_) return EVP_SHOULDEXIT;
    const auto r = poll(until, timeout_ms < 0);
    if (r != EVP_TIMEDOUT || (timeout_ms >= 0 && steady_clock::now() >= until)) return r;
  }
}

EVP_RESULT EVP_client::poll(deadline until, bool for_ever) {
  auto end = steady_clock::now() + poll_slice;
  if (!for_ever) end = std::min(end, std::max(until, steady_clock::now()));
  if (!channel_.polling()) {
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(end - steady_clock::now());
    if (const auto r = channel_.start_poll(get_event(std::max(wait, {}))); r != EVP_OK) return r;
  }
  message answer;
  if (const auto r = channel_.finish_poll(end + poll_grace, answer); r != EVP_OK) return r;
  const auto* response = read(answer);
  const auto* event = response ? response->body_as_Event() : nullptr;
  return event ? dispatch(*event) : EVP_AGENT_PROTOCOL_ERROR;
}

template <class Callback, class Reason>
EVP_RESULT EVP_client::finish(std::uint64_t token, std::uint32_t reason) {
  const auto node = waiting_.extract(token);
  if (node.empty()) return EVP_AGENT_PROTOCOL_ERROR;
  const auto* cb = std::get_if<Callback>(&node.mapped().cb);
  if (!cb) return EVP_AGENT_PROTOCOL_ERROR;
  if (*cb) (*cb)(Reason(reason), node.mapped().user);
  return EVP_OK;
}

EVP_RESULT EVP_client::dispatch(const fb::Event& event) {
  const auto text = [](const flatbuffers::String* s) { return s ? s->c_str() : ""; };
  switch (event.body_type()) {
    case fb::EventBody_NONE: return EVP_TIMEDOUT;
    case fb::EventBody_Config: {
      const auto* e = event.body_as_Config();
      if (e && on_configuration)
        on_configuration(text(e->topic()), e->blob() ? e->blob()->data() : nullptr, e->blob() ? e->blob()->size() : 0,
                         configuration_user);
      return EVP_OK;
    }
    case fb::EventBody_MessageReceived: {
      const auto* e = event.body_as_MessageReceived();
      if (e && on_message)
        on_message(text(e->topic()), e->blob() ? e->blob()->data() : nullptr, e->blob() ? e->blob()->size() : 0,
                   message_user);
      return EVP_OK;
    }
    case fb::EventBody_RpcRequest: {
      const auto* e = event.body_as_RpcRequest();
      if (e && on_rpc) on_rpc(e->id(), text(e->method()), text(e->params()), rpc_user);
      return EVP_OK;
    }
    case fb::EventBody_StateOutput:
      if (const auto* e = event.body_as_StateOutput())
        return finish<EVP_STATE_CALLBACK, EVP_STATE_CALLBACK_REASON>(e->cb(), e->reason());
      break;
    case fb::EventBody_MessageSentOutput:
      if (const auto* e = event.body_as_MessageSentOutput())
        return finish<EVP_MESSAGE_SENT_CALLBACK, EVP_MESSAGE_SENT_CALLBACK_REASON>(e->cb(), e->reason());
      break;
    case fb::EventBody_TelemetryOutput:
      if (const auto* e = event.body_as_TelemetryOutput())
        return finish<EVP_TELEMETRY_CALLBACK, EVP_TELEMETRY_CALLBACK_REASON>(e->cb(), e->reason());
      break;
    case fb::EventBody_RpcResponseOutput:
      if (const auto* e = event.body_as_RpcResponseOutput())
        return finish<EVP_RPC_RESPONSE_CALLBACK, EVP_RPC_RESPONSE_CALLBACK_REASON>(e->cb(), e->reason());
      break;
    case fb::EventBody_BlobOutput: {
      const auto* e = event.body_as_BlobOutput();
      const auto found = e ? waiting_.find(e->cb()) : waiting_.end();
      if (found == waiting_.end() || !std::holds_alternative<transfer>(found->second.cb)) break;
      auto node = waiting_.extract(found);
      finish_transfer(std::move(node.mapped()), *e);
      if (e->operation() != 0) processed_.push_back(e->operation());
      return EVP_OK;
    }
    case fb::EventBody_EarlierOutcome:
      if (const auto* e = event.body_as_EarlierOutcome()) return finish_earlier(*e), EVP_OK;
      break;
    case fb::EventBody_BlobProgress:
      if (const auto* e = event.body_as_BlobProgress()) {
        if (on_progress) on_progress(e->operation(), e->moved(), e->total(), progress_user);
        return EVP_OK;
      }
      break;
    case fb::EventBody_Exit: exit_ = true; return EVP_SHOULDEXIT;
  }
  return EVP_AGENT_PROTOCOL_ERROR;
}

void EVP_client::finish_earlier(const fb::EarlierOutcome& e) {
  EVP_BlobOutcome out{};
  out.id = e.operation();
  out.is_upload = e.op() == EVP_BLOB_OP_PUT;
  out.remote_name = e.remote_name() ? e.remote_name()->c_str() : "";
  out.result = EVP_BLOB_RESULT(e.result());
  out.http_status = e.http_status();
  out.error = int(e.error());
  if (on_outcome) on_outcome(&out, outcome_user);
  processed_.push_back(out.id);
}

void EVP_client::finish_transfer(waiting done, const fb::BlobOutput& out) {
  const auto& t = std::get<transfer>(done.cb);
  EVP_BlobResultHttp r{EVP_BLOB_RESULT_ERROR, 0, EIO};
  switch (out.result_type()) {
    case fb::BlobResult_SignedUrlResult: read_result<fb::SignedUrlResult>(out, r); break;
    case fb::BlobResult_NamedResult: read_result<fb::NamedResult>(out, r); break;
    case fb::BlobResult_HttpResult: read_result<fb::HttpResult>(out, r); break;
    case fb::BlobResult_HttpExtResult: read_result<fb::HttpExtResult>(out, r); break;
    case fb::BlobResult_NONE: break;
  }
  const auto reason = EVP_BLOB_CALLBACK_REASON(out.reason());
  if (t.spooled && t.op == EVP_BLOB_OP_GET && reason == EVP_BLOB_CALLBACK_REASON_DONE &&
      r.result == EVP_BLOB_RESULT_SUCCESS) {
    if (const int e = t.spooled->drain(t.io, done.user); e != 0) r = {EVP_BLOB_RESULT_ERROR, 0, e};
  }
  if (!t.cb) return;
  switch (t.type) {
    case EVP_BLOB_TYPE_AZURE_BLOB: tell<EVP_BlobResultAzureBlob>(t, reason, r, done.user); break;
    case EVP_BLOB_TYPE_HTTP_EXT: tell<EVP_BlobResultHttpExt>(t, reason, r, done.user); break;
    case EVP_BLOB_TYPE_HTTP: tell<EVP_BlobResultHttp>(t, reason, r, done.user); break;
    default: tell<EVP_BlobResultEvp>(t, reason, r, done.user); break;
  }
}
