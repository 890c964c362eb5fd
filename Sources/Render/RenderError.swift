// The errors of rendering.

import Platform

/// A tree cannot be rendered as requested, or the output is wrong.
public typealias RenderError = Failure<RenderDomain>

/// The module Render, for its errors.
public enum RenderDomain: FailureDomain {
  public static let usualCode = ErrorCode.failed
}
