// The error of the module XCAT, which holds osimage tables, manifests, bundle layout and profile
// rules. docs/xcat-contract.md has the facts about xCAT that the module relies on.

import Platform

/// An error in xCAT's data.
public typealias XCATError = Failure<XCATDomain>

/// The module XCAT, for its errors.
public enum XCATDomain: FailureDomain {
  public static let usualCode = ErrorCode.failed
}
