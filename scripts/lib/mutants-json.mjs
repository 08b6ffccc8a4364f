export const jsonMutants = [];
