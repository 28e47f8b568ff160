import Foundation

/// What a model is asked.
public struct ModelRequest: Sendable {
    /// The whole request: system, messages with their parts and sources, tools, output schema, limits.
    public let raw: JSONValue

    /// The instructions, one per line.
    public var system: String { texts(raw["system"]).joined(separator: "\n") }

    /// The words of the conversation, one part per line, retrieved passages among them.
    public var prompt: String { items(raw["messages"]).flatMap { texts($0["parts"]) }.joined(separator: "\n") }

    /// What the answer is for, one word: `compose`, `classify`.
    public var purpose: String? { raw["purpose"]?.text }

    /// JSON Schema of the answer, when it is to be JSON.
    public var outputSchema: JSONValue? { raw["output_schema"] }
}

private func items(_ value: JSONValue?) -> [JSONValue] {
    if case .array(let items)? = value { return items }
    return []
}

private func texts(_ parts: JSONValue?) -> [String] {
    items(parts).filter { $0["type"]?.text == "text" }.compactMap { $0["text"]?.text }
}

/// What a model answers: its words, or a value when a schema was asked for, or several texts when several were.
public struct ModelAnswer: Sendable {
    public var text: String
    public var json: JSONValue?
    public var variants: [String]
    /// Tokens read and written, when the model counts them.
    public var tokens: (read: Int64, written: Int64)?
    /// The model that answered.
    public var model: String?

    public init(
        _ text: String = "", json: JSONValue? = nil, variants: [String] = [], tokens: (read: Int64, written: Int64)? = nil,
        model: String? = nil
    ) {
        self.text = text
        self.json = json
        self.variants = variants
        self.tokens = tokens
        self.model = model
    }

    var plain: JSONValue {
        var members: [String: JSONValue] = ["text": .string(text), "variants": .array(variants.map(JSONValue.string))]
        members["json"] = json
        members["model"] = model.map(JSONValue.string)
        members["usage"] = tokens.map {
            .object(["input_uncached": .int($0.read), "output_visible": .int($0.written), "exact": .bool(true)])
        }
        return .object(members)
    }
}

/// One call of a tool.
public struct ToolCall: Sendable {
    /// The arguments as `args`, and who calls as `call`.
    public let raw: JSONValue

    /// The arguments, which fit the tool's schema.
    public var args: JSONValue { raw["args"] ?? .null }

    /// Who calls: `user:owner`, `agent:campaign`.
    public var principal: String? { raw["call"]?["principal"]?.text }
}

/// A message that the send gate has cleared, ready for a service.
public struct OutgoingMessage: Sendable {
    /// The whole message.
    public let raw: JSONValue

    /// Where it goes out: `email`, `sms`, `x`.
    public var channel: String { raw["channel"]?.text ?? "" }

    /// The name of this one delivery: give it to the service as idempotency key or marker.
    public var effect: String { raw["effect"]?.text ?? "" }

    /// The recipient; nil for a public post.
    public var to: String? { raw["payload"]?["to"]?.text }

    /// The words of a text message or a post.
    public var text: String? { raw["payload"]?["body"]?.text ?? raw["payload"]?["text"]?.text }

    /// The complete RFC 5322 message of an e-mail.
    public var email: Data? { raw["payload"]?["message_base64"]?.text.flatMap { Data(base64Encoded: $0) } }
}

/// What a service answered.
public struct Delivery: Sendable, Hashable {
    /// The service's own id of the message.
    public var providerId: String
    /// The service's own word for its state.
    public var providerStatus: String?

    public init(_ providerId: String, providerStatus: String? = nil) {
        self.providerId = providerId
        self.providerStatus = providerStatus
    }

    var plain: JSONValue {
        .object(["provider_id": .string(providerId), "provider_status": providerStatus.map(JSONValue.string) ?? .null])
    }
}

/// What a probe says about a delivery.
public enum Landing: Sendable {
    case landed(Delivery)
    /// The call of a tool happened, and would have answered this.
    case answered(JSONValue)
    case missing
    case unknown

    var plain: JSONValue {
        switch self {
        case .landed(let delivery): return delivery.plain
        case .answered(let output): return .object(["landed": output])
        case .missing: return .bool(false)
        case .unknown: return .null
        }
    }
}
