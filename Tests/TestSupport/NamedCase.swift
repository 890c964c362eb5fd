// Cases of parameterized tests with names.

import Testing

/// Gives a case of a parameterized test the name that a failure prints.
public struct NamedCase<Value: Sendable>: Sendable, CustomTestStringConvertible {
  public let name: String
  public let value: Value

  public init(_ name: String, _ value: Value) {
    self.name = name
    self.value = value
  }

  public var testDescription: String { name }
}
