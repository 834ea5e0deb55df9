// Whatever is waited for is there.
export default { poll: (pollables) => pollables.map((_, index) => index) };
