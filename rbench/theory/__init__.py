"""The theorem of CRoPD, measured: adversarial CE <= clean CE + kappa * L_con (Liu, Huang, Xing 2025, arXiv 2504.10850)."""
