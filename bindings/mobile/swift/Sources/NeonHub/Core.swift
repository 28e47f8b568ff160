import Foundation
import NeonHubNative

/// What the generated operations call through. A value: the settings of one hub never reach another.
struct Core: Sendable {
    let native: NativeHub
    var key: String?
    var timeout: Duration?
    var sendNull: Set<String> = []

    func args() -> Args {
        Args(sendNull: sendNull)
    }

    /// Calls an operation; cancelling the task stops the work in the core too.
    func call<T: Decodable>(_ name: String, _ args: Args, _ type: T.Type) async throws -> T {
        try Task.checkCancellation()
        let input = String(decoding: try Coding.encode(args), as: UTF8.self)
        let cancel = NativeCancel()
        let answer = try await translated {
            try await withTaskCancellationHandler {
                try await native.call(
                    name: name, input: input, key: key, timeoutMs: timeout?.milliseconds, cancel: cancel)
            } onCancel: {
                cancel.cancel()
            }
        }
        return try Coding.decode(type, answer)
    }
}

/// The arguments of one call. What is nil is left out, unless the caller asked for a null by name.
struct Args: Encodable {
    let sendNull: Set<String>
    private var members: [(name: String, value: any Encodable)] = []

    init(sendNull: Set<String>) {
        self.sendNull = sendNull
    }

    mutating func give(_ name: String, _ value: some Encodable) {
        members.append((name, value))
    }

    mutating func offer(_ name: String, _ value: (some Encodable)?) {
        if let value {
            members.append((name, value))
        } else if sendNull.contains(name) {
            members.append((name, JSONValue.null))
        }
    }

    func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Name.self)
        for member in members {
            try values.encode(member.value, forKey: Name(member.name))
        }
    }
}

/// A member of an object by its own name.
struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) {
        stringValue = name
    }

    init?(stringValue: String) {
        self.init(stringValue)
    }

    init?(intValue: Int) {
        nil
    }
}

/// JSON as the core writes it: instants are UTC milliseconds.
enum Coding {
    static func encode(_ value: some Encodable) throws -> Data {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var only = encoder.singleValueContainer()
            try only.encode(Int64((date.timeIntervalSince1970 * 1000).rounded()))
        }
        return try encoder.encode(value)
    }

    static func decode<T: Decodable>(_ type: T.Type, _ text: String) throws -> T {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .millisecondsSince1970
        return try decoder.decode(type, from: Data(text.utf8))
    }
}

/// Any JSON.
public enum JSONValue: Codable, Sendable, Hashable {
    case null
    case bool(Bool)
    case int(Int64)
    case uint(UInt64)
    case double(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public init(from decoder: any Decoder) throws {
        let only = try decoder.singleValueContainer()
        if only.decodeNil() {
            self = .null
        } else if let flag = try? only.decode(Bool.self) {
            self = .bool(flag)
        } else if let number = try? only.decode(Int64.self) {
            self = .int(number)
        } else if let number = try? only.decode(UInt64.self) {
            self = .uint(number)
        } else if let number = try? only.decode(Double.self) {
            self = .double(number)
        } else if let text = try? only.decode(String.self) {
            self = .string(text)
        } else if let items = try? only.decode([JSONValue].self) {
            self = .array(items)
        } else {
            self = .object(try only.decode([String: JSONValue].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var only = encoder.singleValueContainer()
        switch self {
        case .null: try only.encodeNil()
        case .bool(let flag): try only.encode(flag)
        case .int(let number): try only.encode(number)
        case .uint(let number): try only.encode(number)
        case .double(let number): try only.encode(number)
        case .string(let text): try only.encode(text)
        case .array(let items): try only.encode(items)
        case .object(let members): try only.encode(members)
        }
    }

    /// A member of an object, or nil.
    public subscript(name: String) -> JSONValue? {
        if case .object(let members) = self { return members[name] }
        return nil
    }

    /// The text, or nil for anything else.
    public var text: String? {
        if case .string(let text) = self { return text }
        return nil
    }
}

func unknownVariant(_ name: String, _ decoder: any Decoder) -> DecodingError {
    .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "an unknown variant of \(name)"))
}

extension Duration {
    /// Whole milliseconds.
    var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
