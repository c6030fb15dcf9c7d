// The optimisers, on one parameter p with gradient g (scaled by clipping) and moments (m, v).
//
//   ADAM      m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p -= lr m c1 / (sqrt(v c2) + eps),
//             c = 1 / (1 - b^t)                            Kingma & Ba 2014, arXiv 1412.6980, algorithm 1
//   SGD       m = momentum m + g, p -= lr m
//   NESTEROV  m = momentum m + g, p -= lr (g + momentum m)
//   RMSPROP   v = alpha v + (1 - alpha) g^2, p -= lr g / (sqrt(v) + eps)
//
// Weights are first multiplied by `keep` = 1 - lr * weight decay (Loshchilov & Hutter 2017, arXiv 1711.05101).

struct Parameter {
    p: f32,
    moments: vec2f,
}

fn descend(member: Member, step: Step, keep: f32, g: f32, before: Parameter) -> Parameter {
    var p = before.p * keep;
    var m = before.moments.x;
    var v = before.moments.y;
    switch member.optimizer {
        case ADAM: {
            m = member.decay1 * m + member.rest1 * g;
            v = member.decay2 * v + member.rest2 * (g * g);
            p -= step.lr * (m * step.correction1) / (sqrt(v * step.correction2) + member.eps);
        }
        case SGD, NESTEROV: {
            m = member.decay1 * m + g;
            p -= step.lr * select(m, g + member.decay1 * m, member.optimizer == NESTEROV);
        }
        case RMSPROP: {
            v = member.decay1 * v + member.rest1 * (g * g);
            p -= step.lr * g / (sqrt(v) + member.eps);
        }
        default: { p = not_a_number(member.optimizer); }
    }
    return Parameter(p, vec2f(m, v));
}

fn all_finite(after: Parameter) -> bool {
    return is_finite(after.p) && is_finite(after.moments.x) && is_finite(after.moments.y);
}
