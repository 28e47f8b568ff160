import Foundation
import NeonHubNative

/// One fault of one field, for errors that list several at once.
public struct Fault: Sendable, Hashable {
    /// Path of the field, as the caller wrote it: `budget.currency`, `channels[2]`.
    public let field: String
    /// What was expected and what to do.
    public let message: String
}

/// What is known of an error beside its kind.
public struct Details: Sendable {
    /// What was expected and what to do.
    public var message: String
    /// A stable word that may be finer than the kind (`no_identity`); nil: the kind's.
    public var code: String?
    /// The operation that failed, such as `people.resolve`.
    public var operation: String
    /// Facts in the order they were added.
    public var context: [(key: String, value: String)]
    /// Every fault by field, when there are several.
    public var faults: [Fault]
    /// True when the same call may succeed later.
    public var retryable: Bool
    /// Not sooner than this, when the other side said so.
    public var retryAfter: Duration?
    /// The error of a function of the application that is behind it.
    public var cause: (any Error)?
    var line: String?

    public init(
        _ message: String, code: String? = nil, operation: String = "host", context: [(key: String, value: String)] = [],
        retryable: Bool = false, retryAfter: Duration? = nil
    ) {
        self.message = message
        self.code = code
        self.operation = operation
        self.context = context
        self.faults = []
        self.retryable = retryable || retryAfter != nil
        self.retryAfter = retryAfter
    }

    init(_ parts: ErrorParts) {
        self.init(parts.reason, code: parts.code, operation: parts.operation)
        context = parts.context.map { ($0.name, $0.text) }
        faults = parts.faults.map { Fault(field: $0.name, message: $0.text) }
        retryable = parts.retryable
        retryAfter = parts.retryAfterMs.map { .milliseconds($0) }
        cause = parts.raised.flatMap(Thrown.shared.get)
        line = parts.line
    }
}

extension NeonHubError: CustomStringConvertible, LocalizedError {
    /// What was expected and what to do.
    public var message: String { details.message }

    /// A stable word, as ``kind`` or finer.
    public var code: String { details.code ?? kind }

    /// The operation that failed.
    public var operation: String { details.operation }

    /// True when the same call may succeed later.
    public var retryable: Bool { details.retryable }

    /// Not sooner than this, when the other side said so.
    public var retryAfter: Duration? { details.retryAfter }

    /// The line for operators: code, operation, message, `key=value`.
    public var description: String {
        let facts = details.context.map { " \($0.key)=\($0.value)" }.joined()
        return details.line ?? "\(code): \(operation): \(message)\(facts)"
    }

    public var errorDescription: String? { description }

    /// The parts as they cross to the core.
    func native() -> NativeError {
        let parts = ErrorParts(
            kind: kind, code: code, operation: operation, reason: message,
            context: details.context.map { ErrorPair(name: $0.key, text: $0.value) },
            faults: details.faults.map { ErrorPair(name: $0.field, text: $0.message) },
            retryable: retryable, retryAfterMs: retryAfter?.milliseconds, line: description,
            raised: Thrown.shared.keep(self))
        return .Failed(parts: parts)
    }
}

/// Runs native work; what it throws becomes a ``NeonHubError``, or a `CancellationError` when the task was cancelled.
func translated<T>(_ work: () async throws -> T) async throws -> T {
    do {
        return try await work()
    } catch let failed as NativeError {
        if Task.isCancelled { throw CancellationError() }
        throw translate(failed)
    }
}

/// The same for work that does not wait.
func translated<T>(_ work: () throws -> T) throws -> T {
    do {
        return try work()
    } catch let failed as NativeError {
        throw translate(failed)
    }
}

func translate(_ error: NativeError) -> NeonHubError {
    switch error {
    case .Failed(let parts):
        return .of(parts.kind, Details(parts))
    case .Raised(let exception, _, let raised):
        var details = Details("the host raised \(exception)")
        details.cause = Thrown.shared.get(raised)
        return .internal(details)
    }
}

/// The errors of host functions that the core may still hand back as a cause: the newest ones.
final class Thrown: @unchecked Sendable {
    static let shared = Thrown()
    private static let most: Int64 = 256
    private let lock = NSLock()
    private var next: Int64 = 0
    private var kept: [Int64: any Error] = [:]

    func keep(_ error: any Error) -> Int64 {
        lock.lock()
        defer { lock.unlock() }
        next += 1
        kept[next] = error
        kept[next - Self.most] = nil
        return next
    }

    func get(_ place: Int64) -> (any Error)? {
        lock.lock()
        defer { lock.unlock() }
        return kept[place]
    }
}

/// A function of the application as the core calls it: JSON in, JSON out.
final class HostCode: HostFunction {
    private let body: @Sendable (JSONValue) async throws -> JSONValue

    init(_ body: @escaping @Sendable (JSONValue) async throws -> JSONValue) {
        self.body = body
    }

    func invoke(input: String) async throws -> String {
        do {
            let answer = try await body(try Coding.decode(JSONValue.self, input))
            return String(decoding: try Coding.encode(answer), as: UTF8.self)
        } catch let ours as NeonHubError {
            throw ours.native()
        } catch {
            let name = String(describing: Swift.type(of: error))
            let words = String(describing: error)
            throw NativeError.Raised(exception: name, words: words, raised: Thrown.shared.keep(error))
        }
    }
}
